# A search on 45 real images that two CPU cores finish in half an hour, at half resolution.
_base_ = [
    '../_base_/datasets/tabletop.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_real.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='Resize', factor=0.5, lines=['edge']),
            dict(type='RandomScale', scales=[0.75, 1.0, 1.25, 1.5]),
            dict(type='RandomCrop', size=(96, 128)),
            dict(type='RandomHorizontalFlip'),
            dict(type='PackSample'),
        ]
    ),
)
