# The network and the training of the paper's public tool: one network on the code alone, 200 epochs
# of 16 updates. Read by propagate_seg_reference.py.
_base_ = ['./predictor_seg.py']

model = dict(members=1, features='code', hidden=256, head_width=128)
train_cfg = dict(max_iters=3200, val_interval=3200)
optim_wrapper = dict(optimizer=dict(betas=(0.95, 0.999)))
param_scheduler = [
    dict(
        type='OneCycleLR',
        eta_max=0.01,
        total_steps=3200,
        pct_start=0.3,
        div_factor=10,
        by_epoch=False,
    ),
    # the momentum falls to 0.85 while the learning rate rises, and rises again
    dict(type='CosineAnnealingMomentum', eta_min=0.85, begin=0, end=959, by_epoch=False),
    dict(type='CosineAnnealingMomentum', eta_min=0.95, begin=959, end=3199, by_epoch=False),
]
