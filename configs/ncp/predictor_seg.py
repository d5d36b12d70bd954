# Predictor of one setting of NAS-Bench-MR: eight small networks on codes and exact costs. The
# other settings build on this file.
_base_ = ['../_base_/default_runtime.py']
custom_imports = dict(imports=['bmtas.ncp'])
data_root = 'data/nas_bench_mr'
_records = dict(type='NetworkCodeDataset', data_root=data_root, setting='seg', val_fraction=0.05)
_collate = dict(type='take_batch')
_fixed_order = dict(type='DefaultSampler', shuffle=False, round_up=False)

model = dict(
    type='CodePredictor',
    setting='seg',
    heads=[
        dict(names=['mIoU'], dropout=0.5),
        dict(names=['mAcc', 'aAcc'], dropout=0.5),
        dict(names=['flops', 'params'], dropout=0.0),
    ],
    members=8,
    features='cost',
    hidden=128,
    head_width=64,
)
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    sampler=dict(type='PositionSampler'),
    collate_fn=_collate,
    dataset=dict(part='train', **_records),
)
val_dataloader = dict(
    batch_size=512,
    num_workers=0,
    sampler=_fixed_order,
    collate_fn=_collate,
    dataset=dict(part='val', **_records),
)
test_dataloader = dict(
    batch_size=512,
    num_workers=0,
    sampler=_fixed_order,
    collate_fn=_collate,
    dataset=dict(part='test', **_records),
)
val_evaluator = [
    dict(type='CodePredictionMetric', names=['mIoU', 'mAcc', 'aAcc', 'flops', 'params'])
]
test_evaluator = val_evaluator

train_cfg = dict(type='PositionTrainLoop', max_iters=1200, val_interval=1200)
val_cfg = dict(type='ValLoop')
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=0.001, weight_decay=1e-7, fused=True)
)
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=0.01,
        total_steps=1200,
        pct_start=0.3,
        div_factor=10,
        by_epoch=False,
    )
]
custom_hooks = [dict(type='PredictorHook')]
default_hooks = dict(checkpoint=dict(interval=600), logger=dict(interval=200))
