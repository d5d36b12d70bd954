# A search on CamVid at half resolution, as short as that of tabletop.
_base_ = [
    '../_base_/datasets/camvid.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        pipeline=[
            dict(type='Resize', factor=0.5, lines=['edge']),
            dict(type='RandomScale', scales=[0.75, 1.0, 1.25, 1.5]),
            dict(type='RandomCrop', size=(88, 120)),
            dict(type='RandomHorizontalFlip'),
            dict(type='PackSample'),
        ]
    ),
)
search = dict(
    weight_updates=160,
    alpha_phase=20,
    weight_phase=20,
    hard='weights',
    resource_loss=dict(weight=1.0),
)
optim_wrapper = dict(alpha=dict(optimizer=dict(lr=0.1)))
