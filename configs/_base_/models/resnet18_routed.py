# ResNet-18 at output stride 32 without context module, a linear branch for each task.
_base_ = './vgg11_bn_routed.py'
model = dict(encoder=dict(backbone=dict(arch='resnet18')), head=dict(pool_size=1))
