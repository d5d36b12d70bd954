# As resnet50_supergraph.py, with ResNet-101.
_base_ = './resnet50_supergraph.py'
model = dict(encoder=dict(backbone=dict(arch='resnet101')))
