# One task for each batch, as the paper on task routing has it, in minutes on a CPU core.
train_cfg = dict(type='TaskSamplingLoop', max_iters=12500, val_interval=12500)
val_cfg = dict(type='ValLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [dict(type='PolyLR', power=0.9, by_epoch=False)]
custom_hooks = [dict(type='MaskFileHook')]
