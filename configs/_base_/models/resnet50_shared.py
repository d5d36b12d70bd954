# ResNet-50 with ASPP: one encoder for all tasks.
_base_ = './resnet50_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes='shared'))
