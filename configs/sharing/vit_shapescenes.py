# A base network for semseg, and five sub-tasks as sparse deltas of 5 % of its weights:
# bmtas share sharing/vit_shapescenes
_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/vit_single.py',
    '../_base_/default_runtime.py',
]
custom_imports = dict(imports=['bmtas.sharing'])

_adamw = dict(type='AdamW', lr=2e-3, weight_decay=1e-4, fused=True)
model = dict(type='SharingModel', encoder=dict(type='DeltaEncoder', delta=dict(type='SparseDelta')))
train_dataloader = dict(batch_size=8)
train_cfg = dict(type='SharingTrainLoop', max_iters=600, val_interval=600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='SharingTestLoop')
optim_wrapper = dict(
    type='OptimWrapper', constructor='SharingOptimWrapperConstructor', optimizer=_adamw
)
# a decay that begins earlier costs so short a training more than it gains
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, end=50, by_epoch=False),
    dict(type='CoolDownLR', share=1 / 3, by_epoch=False),
]

_short = dict(max_iters=150, val_interval=150)
# the three stages of a sub-task take as many updates as its network would from scratch
sharing = dict(
    base_task='semseg',
    density=0.05,
    stages=dict(
        base=dict(),
        gates=dict(train_cfg=_short, encoder=dict(gate_weight=1e-5)),
        support=dict(train_cfg=dict(max_iters=300, val_interval=300)),
        align=dict(train_cfg=_short, encoder=dict(align_weight=1.0)),
    ),
)
