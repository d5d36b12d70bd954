# Predictor of the setting cls-10-1000, mostly noise: more than 400 updates only lose on rows set
# apart from the training rows.
_base_ = ['./predictor_cls_50_1000.py']
_data = dict(setting='cls-10-1000')

model = dict(setting='cls-10-1000')
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
train_cfg = dict(max_iters=400, val_interval=400)
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=0.01,
        total_steps=400,
        pct_start=0.3,
        div_factor=10,
        by_epoch=False,
    )
]
