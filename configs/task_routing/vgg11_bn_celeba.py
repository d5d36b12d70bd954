# 40 attributes of faces: 4 passes over all pairs of image and task.
_base_ = [
    '../_base_/datasets/celeba.py',
    '../_base_/models/vgg11_bn_routed.py',
    '../_base_/schedules/routed_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(kept_only=True), head=dict(pool_size=1))
train_cfg = dict(max_iters=400000, val_interval=40000)
