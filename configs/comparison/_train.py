# The training that every network of docs/comparison.md gets. Adam is used because the updates are
# few; it does not notice a factor on the gradient, so the rate is not divided by sharing tasks.
_base_ = ['./_data.py', '../_base_/schedules/retrain_short.py', '../_base_/default_runtime.py']
train_cfg = dict(max_iters=600)
val_cfg = None
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    optimizer=dict(_delete_=True, type='AdamW', lr=4e-3, weight_decay=1e-4),
)
default_hooks = dict(checkpoint=dict(interval=600))
