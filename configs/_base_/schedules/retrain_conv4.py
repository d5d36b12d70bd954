# 300 updates of a small network, the losses on one scale: the training of the benchmark of trees.
_base_ = './retrain_short.py'
train_cfg = dict(max_iters=300, val_interval=300, log_losses=True)
# Adam does not notice a factor on the gradient, so the rate is not divided by sharing tasks
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    optimizer=dict(_delete_=True, type='AdamW', lr=0.01, weight_decay=1e-4),
)
