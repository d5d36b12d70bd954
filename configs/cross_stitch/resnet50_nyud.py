# Starts from the trained single-task networks of configs/single/resnet50_nyud.py.
_base_ = [
    '../_base_/datasets/nyud.py',
    '../_base_/models/resnet50_cross_stitch.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(init_from='work_dirs/single/resnet50_nyud/iter_20000.pth'))
# the units' values are no weights that should shrink
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys={'encoder.units': dict(decay_mult=0.0)}),
)
train_cfg = dict(max_iters=20000, val_interval=2000)
resources = dict(convention='paper')
