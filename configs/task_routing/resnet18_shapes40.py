# 40 attributes of rendered scenes in one ResNet-18.
_base_ = [
    '../_base_/datasets/shapes40.py',
    '../_base_/models/resnet18_routed.py',
    '../_base_/schedules/routed_short.py',
    '../_base_/default_runtime.py',
]
