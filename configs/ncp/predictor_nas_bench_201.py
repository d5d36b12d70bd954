# Predictor of nas-bench-201: one-hot cells. A fifth of the 15625 cells is held out for the test. No
# dropout, larger batches, 1600 updates: chosen on rows set apart from the training rows.
_base_ = ['./predictor_seg.py']
_data = dict(setting='nas-bench-201', split_file=None)

model = dict(
    setting='nas-bench-201',
    dimension=30,
    features='code',
    members=4,
    heads=[
        dict(names=['Acc'], dropout=0.0),
        dict(names=['Flops', 'Params'], dropout=0.0),
    ],
    dropout=0.0,
)
train_dataloader = dict(batch_size=512, dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
val_evaluator = [dict(type='CodePredictionMetric', names=['Acc', 'Flops', 'Params'])]
test_evaluator = val_evaluator
train_cfg = dict(max_iters=1600, val_interval=1600)
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=0.01,
        total_steps=1600,
        pct_start=0.3,
        div_factor=10,
        by_epoch=False,
    )
]
