# RGB-D images of objects on a table (OSD, labels of mOSD), 240x320: 45 train, 62 val.
data_root = 'data/tabletop'
input_size = (240, 320)

tasks = dict(
    semseg=dict(kind='classes', num_classes=2, draw=dict(names=['table', 'object'])),
    sal=dict(kind='mask', weight=5.0),
    depth=dict(kind='depth'),
    normals=dict(kind='normals', weight=10.0),
    edge=dict(
        kind='mask',
        loss=dict(type='WeightedBCELoss', pos_weight=0.95),
        weight=50.0,
        metric=dict(type='BoundaryFMeasure', tolerance=0.0075),
    ),
)

_dataset = dict(
    type='MultiTaskFolder',
    data_root=data_root,
    label_files=dict(
        semseg=dict(folder='segmentation'),
        sal=dict(folder='saliency', ignore=255),
        depth=dict(folder='depth', scale=0.001),
        normals=dict(folder='normals'),
        edge=dict(folder='edge', threshold=127),
    ),
)
_train_pipeline = [
    dict(type='RandomScale', scales=[0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]),
    dict(type='RandomCrop', size=(192, 256)),
    dict(type='RandomHorizontalFlip'),
    dict(type='PackSample'),
]
_loader = dict(num_workers=2, persistent_workers=True, collate_fn=dict(type='pseudo_collate'))

train_dataloader = dict(
    batch_size=4,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    dataset=dict(split='train', pipeline=_train_pipeline, **_dataset),
    **_loader,
)
val_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(split='val', pipeline=[dict(type='PackSample')], **_dataset),
    **_loader,
)
test_dataloader = val_dataloader
