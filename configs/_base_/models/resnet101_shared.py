# As resnet50_shared.py, with ResNet-101.
_base_ = './resnet50_shared.py'
model = dict(encoder=dict(backbone=dict(arch='resnet101')))
