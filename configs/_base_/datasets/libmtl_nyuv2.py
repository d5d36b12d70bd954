# NYUv2 as LibMTL and MTAN have it: 795 train, 654 val, 288x384, 13 classes.
# Layout: <data_root>/<train|val>/<image|label|depth|normal>/<number>.npy
data_root = 'data/nyuv2'
input_size = (288, 384)

tasks = dict(
    segmentation=dict(kind='classes', num_classes=13, ignore=-1),
    depth=dict(kind='depth', score='abs_rel'),
    normal=dict(kind='normals', weight=10.0),
)

_dataset = dict(
    type='NumpyFolders',
    data_root=data_root,
    label_files=dict(
        segmentation=dict(folder='label'),
        depth=dict(folder='depth'),
        normal=dict(folder='normal'),
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
