# The training of the BMTAS paper for every network: 40000 updates of SGD with a polynomial rate;
# the rate of a block is divided by the number of tasks that share it.
train_cfg = dict(type='PositionTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='SharedLRConstructor',
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type='PolyLR', power=0.9, by_epoch=False)]
