# Give the tree with --branching work_dirs/bmtas/resnet18_shapes20/branching.json
_base_ = [
    '../_base_/datasets/shapes20.py',
    '../_base_/models/resnet18_branched.py',
    '../_base_/schedules/retrain_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    encoder=dict(backbone=dict(output_stride=32, weights=None, aspp=False)),
    head=dict(_delete_=True, type='PooledLinearHead'),
)
train_cfg = dict(max_iters=1250, val_interval=1250)
# Adam does not notice a factor on the gradient, so the rate is not divided by sharing tasks
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    optimizer=dict(_delete_=True, type='Adam', lr=1e-3),
)
