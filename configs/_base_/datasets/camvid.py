# Street scenes (CamVid as in the SegNet tutorial), 180x240: 367 train, 101 val, 233 test.
data_root = 'data/camvid'
input_size = (180, 240)

tasks = dict(
    semseg=dict(
        kind='classes',
        num_classes=11,
        draw=dict(
            names=[
                'sky',
                'building',
                'pole',
                'road',
                'pavement',
                'tree',
                'sign',
                'fence',
                'car',
                'pedestrian',
                'bicyclist',
            ]
        ),
    ),
    edge=dict(
        kind='mask',
        loss=dict(type='WeightedBCELoss', pos_weight=0.95),
        weight=50.0,
        metric=dict(type='BoundaryFMeasure', tolerance=0.0075),
    ),
    sal=dict(kind='mask', weight=5.0),
)

_dataset = dict(
    type='MultiTaskFolder',
    data_root=data_root,
    label_files=dict(
        semseg=dict(folder='segmentation'),
        edge=dict(folder='edge', threshold=127),
        sal=dict(folder='saliency', ignore=255),
    ),
)
_train_pipeline = [
    dict(type='RandomScale', scales=[0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]),
    dict(type='RandomCrop', size=(176, 240)),
    dict(type='RandomHorizontalFlip'),
    dict(type='PackSample'),
]
_loader = dict(num_workers=2, persistent_workers=True, collate_fn=dict(type='pseudo_collate'))
_eval_loader = dict(
    batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False, round_up=False), **_loader
)

train_dataloader = dict(
    batch_size=4,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    dataset=dict(split='train', pipeline=_train_pipeline, **_dataset),
    **_loader,
)
val_dataloader = dict(
    dataset=dict(split='val', pipeline=[dict(type='PackSample')], **_dataset), **_eval_loader
)
test_dataloader = dict(
    dataset=dict(split='test', pipeline=[dict(type='PackSample')], **_dataset), **_eval_loader
)
