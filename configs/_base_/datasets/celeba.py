# CelebA: 40 attributes of faces, the aligned images at 64x64.
input_size = (64, 64)
data_root = 'data/celeba'

_names = [
    '5_o_Clock_Shadow',
    'Arched_Eyebrows',
    'Attractive',
    'Bags_Under_Eyes',
    'Bald',
    'Bangs',
    'Big_Lips',
    'Big_Nose',
    'Black_Hair',
    'Blond_Hair',
    'Blurry',
    'Brown_Hair',
    'Bushy_Eyebrows',
    'Chubby',
    'Double_Chin',
    'Eyeglasses',
    'Goatee',
    'Gray_Hair',
    'Heavy_Makeup',
    'High_Cheekbones',
    'Male',
    'Mouth_Slightly_Open',
    'Mustache',
    'Narrow_Eyes',
    'No_Beard',
    'Oval_Face',
    'Pale_Skin',
    'Pointy_Nose',
    'Receding_Hairline',
    'Rosy_Cheeks',
    'Sideburns',
    'Smiling',
    'Straight_Hair',
    'Wavy_Hair',
    'Wearing_Earrings',
    'Wearing_Hat',
    'Wearing_Lipstick',
    'Wearing_Necklace',
    'Wearing_Necktie',
    'Young',
]
# names of tasks are identifiers
tasks = {
    name.replace('5_o', 'Five_o'): dict(
        kind='category', num_classes=2, label=name, score='balanced_accuracy'
    )
    for name in _names
}

_dataset = dict(type='CelebA', data_root=data_root)
_loader = dict(num_workers=2, persistent_workers=True, collate_fn=dict(type='pseudo_collate'))
_eval_loader = dict(
    batch_size=64, sampler=dict(type='DefaultSampler', shuffle=False, round_up=False), **_loader
)
_resize, _pack = dict(type='Resize', size=input_size), dict(type='PackSample')
train_dataloader = dict(
    batch_size=64,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    dataset=dict(
        split='train', pipeline=[dict(type='RandomHorizontalFlip'), _resize, _pack], **_dataset
    ),
    **_loader,
)
val_dataloader = dict(
    dataset=dict(split='val', pipeline=[_resize, _pack], **_dataset), **_eval_loader
)
test_dataloader = dict(
    dataset=dict(split='test', pipeline=[_resize, _pack], **_dataset), **_eval_loader
)
