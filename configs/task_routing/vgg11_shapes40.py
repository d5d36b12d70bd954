# As vgg11_bn_shapes40.py, without batch norm.
_base_ = [
    '../_base_/datasets/shapes40.py',
    '../_base_/models/vgg11_routed.py',
    '../_base_/schedules/routed_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(width=0.25)), head=dict(pool_size=1))
