# Predictor of the setting cls-50-1000; the others with top1 and top5 build on this file.
_base_ = ['./predictor_seg.py']
_data = dict(setting='cls-50-1000')

model = dict(
    setting='cls-50-1000',
    heads=[
        dict(names=['top1'], dropout=0.5),
        dict(names=['top5'], dropout=0.5),
        dict(names=['flops', 'params'], dropout=0.0),
    ],
)
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
val_evaluator = [dict(type='CodePredictionMetric', names=['top1', 'top5', 'flops', 'params'])]
test_evaluator = val_evaluator
train_cfg = dict(max_iters=900, val_interval=900)
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=0.01,
        total_steps=900,
        pct_start=0.3,
        div_factor=10,
        by_epoch=False,
    )
]
