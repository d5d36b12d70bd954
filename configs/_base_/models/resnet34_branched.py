# As resnet50_branched.py, with ResNet-34.
_base_ = './resnet50_branched.py'
model = dict(encoder=dict(backbone=dict(arch='resnet34')))
