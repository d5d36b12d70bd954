# As resnet50_branched.py, with ResNet-18.
_base_ = './resnet50_branched.py'
model = dict(encoder=dict(backbone=dict(arch='resnet18')))
