# As vgg11_bn_routed.py, without batch norm.
_base_ = './vgg11_bn_routed.py'
model = dict(encoder=dict(backbone=dict(arch='vgg11')))
