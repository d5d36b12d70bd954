# As resnet50_single.py, with ResNet-34.
_base_ = './resnet50_single.py'
model = dict(encoder=dict(backbone=dict(arch='resnet34')))
