# Rendered scenes (nothing to download), 64x64, all six labels: 2000 train, 200 val, 400 test.
input_size = (64, 64)

tasks = dict(
    semseg=dict(
        kind='classes',
        num_classes=10,
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
    human_parts=dict(
        kind='classes',
        num_classes=7,
        weight=2.0,
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
    sal=dict(kind='mask', weight=5.0),
    normals=dict(kind='normals', weight=10.0),
    depth=dict(kind='depth'),
    edge=dict(
        kind='mask',
        loss=dict(type='WeightedBCELoss', pos_weight=0.95),
        weight=50.0,
        metric=dict(type='EdgeFMeasure'),
    ),
)

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
