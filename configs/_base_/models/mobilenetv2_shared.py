# MobileNetV2 with R-ASPP: one encoder for all tasks.
_base_ = './mobilenetv2_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes='shared'))
