# Cityscapes as LibMTL and MTAN have it: 2975 train, 500 val, 128x256, 7 classes; the
# "depth" of these files is a disparity.
# Layout: <data_root>/<train|val>/<image|label_7|depth>/<number>.npy
data_root = 'data/cityscapes'
input_size = (128, 256)

tasks = dict(
    segmentation=dict(kind='classes', num_classes=7, ignore=-1),
    depth=dict(kind='depth', score='abs_rel'),
)

_dataset = dict(
    type='NumpyFolders',
    data_root=data_root,
    label_files=dict(
        segmentation=dict(folder='label_7'),
        depth=dict(folder='depth'),
    ),
)
_loader = dict(num_workers=2, persistent_workers=True, collate_fn=dict(type='pseudo_collate'))

train_dataloader = dict(
    batch_size=8,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    dataset=dict(
        split='train',
        pipeline=[dict(type='RandomHorizontalFlip'), dict(type='PackSample')],
        **_dataset,
    ),
    **_loader,
)
val_dataloader = dict(
    batch_size=8,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(split='val', pipeline=[dict(type='PackSample')], **_dataset),
    **_loader,
)
test_dataloader = val_dataloader
