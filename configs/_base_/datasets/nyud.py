# NYUD-v2, four tasks: 795 train, 654 val, 425x560. Augmentation of the paper (appendix A).
data_root = 'data/NYUDv2'
input_size = (425, 560)

tasks = dict(
    semseg=dict(
        kind='classes',
        num_classes=40,
        draw=dict(
            names=[
                'wall',
                'floor',
                'cabinet',
                'bed',
                'chair',
                'sofa',
                'table',
                'door',
                'window',
                'bookshelf',
                'picture',
                'counter',
                'blinds',
                'desk',
                'shelves',
                'curtain',
                'dresser',
                'pillow',
                'mirror',
                'floor mat',
                'clothes',
                'ceiling',
                'books',
                'refridgerator',
                'television',
                'paper',
                'towel',
                'shower curtain',
                'box',
                'whiteboard',
                'person',
                'night stand',
                'toilet',
                'sink',
                'lamp',
                'bathtub',
                'bag',
                'otherstructure',
                'otherfurniture',
                'otherprop',
            ]
        ),
    ),
    depth=dict(kind='depth'),
    normals=dict(kind='normals', weight=10.0),
    edge=dict(
        kind='mask',
        loss=dict(type='WeightedBCELoss', pos_weight=0.8),
        weight=50.0,
        metric=dict(type='BoundaryFMeasure', tolerance=0.011, workers=4),
    ),
)

_dataset = dict(type='NYUD', data_root=data_root)
_train_pipeline = [
    dict(type='RandomScale', scales=[0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]),
    dict(type='RandomCrop', size=(425, 560)),
    dict(type='RandomHorizontalFlip'),
    dict(type='PackSample'),
]
_test_pipeline = [dict(type='PadTo', size=(425, 560)), dict(type='PackSample')]
_loader = dict(num_workers=4, persistent_workers=True, collate_fn=dict(type='pseudo_collate'))

train_dataloader = dict(
    batch_size=8,
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
