# PASCAL-Context, five tasks: 4998 train, 5105 val. Augmentation of the paper (appendix A).
data_root = 'data/PASCAL_MT'
input_size = (512, 512)

tasks = dict(
    semseg=dict(
        kind='classes',
        num_classes=21,
        draw=dict(
            names=[
                'background',
                'aeroplane',
                'bicycle',
                'bird',
                'boat',
                'bottle',
                'bus',
                'car',
                'cat',
                'chair',
                'cow',
                'diningtable',
                'dog',
                'horse',
                'motorbike',
                'person',
                'pottedplant',
                'sheep',
                'sofa',
                'train',
                'tvmonitor',
            ]
        ),
    ),
    human_parts=dict(
        kind='classes',
        num_classes=7,
        weight=2.0,
        draw=dict(
            names=[
                'background',
                'head',
                'torso',
                'upper arms',
                'lower arms',
                'upper legs',
                'lower legs',
            ]
        ),
    ),
    sal=dict(kind='mask', weight=5.0),
    normals=dict(kind='normals', weight=10.0),
    edge=dict(
        kind='mask',
        loss=dict(type='WeightedBCELoss', pos_weight=0.95),
        weight=50.0,
        metric=dict(type='BoundaryFMeasure', tolerance=0.0075, workers=4),
    ),
)

_dataset = dict(type='PascalContext', data_root=data_root)
_train_pipeline = [
    dict(type='RandomScale', scales=[0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]),
    dict(type='RandomCrop', size=512),
    dict(type='RandomHorizontalFlip'),
    dict(type='IgnoreAbsentForeground', labels=['human_parts']),
    dict(type='PackSample'),
]
_test_pipeline = [
    dict(type='PadTo', size=512),
    dict(type='IgnoreAbsentForeground', labels=['human_parts']),
    dict(type='PackSample'),
]
_loader = dict(num_workers=4, persistent_workers=True, collate_fn=dict(type='pseudo_collate'))

train_dataloader = dict(
    batch_size=16,
    drop_last=True,
    sampler=dict(type='PositionSampler'),
    dataset=dict(split='train', pipeline=_train_pipeline, **_dataset),
    **_loader,
)
val_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(split='val', pipeline=_test_pipeline, **_dataset),
    **_loader,
)
test_dataloader = val_dataloader
