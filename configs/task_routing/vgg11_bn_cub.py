# 312 attributes of birds, each with the branch of the paper: 4 passes over all pairs of image and
# task.
_base_ = [
    '../_base_/datasets/cub.py',
    '../_base_/models/vgg11_bn_routed.py',
    '../_base_/schedules/routed_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(kept_only=True))
train_cfg = dict(max_iters=100000, val_interval=20000)
