# 40 attributes of rendered scenes in one VGG-11 of a quarter of the width: 10 passes over all pairs
# of image and task.
_base_ = [
    '../_base_/datasets/shapes40.py',
    '../_base_/models/vgg11_bn_routed.py',
    '../_base_/schedules/routed_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(width=0.25), kept_only=True), head=dict(pool_size=1))
