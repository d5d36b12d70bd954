# Rendered scenes (nothing to download), 64x64, all six labels: 2000 train, 200 val, 400 test.
input_size = (64, 64)

tasks = [
    dict(
        name='semseg',
        kind='classes',
        channels=10,
        loss=dict(type='CrossEntropyLoss'),
        metric=dict(type='MeanIoU'),
        score='mIoU',
        draw=dict(
            names=[
                'wall',
                'floor',
                'person',
                'animal',
                'ball',
                'box',
                'cone',
                'drum',
                'table',
                'plant',
            ]
        ),
    ),
    dict(
        name='human_parts',
        kind='classes',
        channels=7,
        loss=dict(type='CrossEntropyLoss'),
        weight=2.0,
        metric=dict(type='MeanIoU'),
        score='mIoU',
        draw=dict(
            names=[
                'background',
                'head',
                'torso',
                'upper arm',
                'lower arm',
                'upper leg',
                'lower leg',
            ]
        ),
    ),
    dict(
        name='sal',
        kind='mask',
        channels=1,
        loss=dict(type='BalancedBCELoss'),
        weight=5.0,
        metric=dict(type='SaliencyIoU'),
        score='maxIoU',
    ),
    dict(
        name='normals',
        kind='normals',
        channels=3,
        loss=dict(type='NormalsL1Loss'),
        weight=10.0,
        metric=dict(type='NormalsError'),
        score='mean',
        higher_is_better=False,
    ),
    dict(
        name='depth',
        kind='depth',
        channels=1,
        loss=dict(type='DepthL1Loss'),
        metric=dict(type='DepthError'),
        score='rmse',
        higher_is_better=False,
    ),
    dict(
        name='edge',
        kind='mask',
        channels=1,
        loss=dict(type='WeightedBCELoss', pos_weight=0.95),
        weight=50.0,
        metric=dict(type='EdgeFMeasure'),
        score='F',
    ),
]

_dataset = dict(type='ShapeScenes', size=input_size, cache=True)
_loader = dict(num_workers=2, persistent_workers=True, collate_fn=dict(type='pseudo_collate'))
_eval_loader = dict(
    batch_size=8, sampler=dict(type='DefaultSampler', shuffle=False, round_up=False), **_loader
)

train_dataloader = dict(
    batch_size=16,
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
    dataset=dict(split='val', pipeline=[dict(type='PackSample')], **_dataset), **_eval_loader
)
test_dataloader = dict(
    dataset=dict(split='test', pipeline=[dict(type='PackSample')], **_dataset), **_eval_loader
)
