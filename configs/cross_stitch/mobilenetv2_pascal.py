# Starts from the trained single-task networks of configs/single/mobilenetv2_pascal.py.
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/mobilenetv2_cross_stitch.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(init_from='work_dirs/single/mobilenetv2_pascal/iter_40000.pth'))
# the units' values are no weights that should shrink
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys={'encoder.units': dict(decay_mult=0.0)}),
)
resources = dict(convention='paper')
