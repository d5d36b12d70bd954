# ResNet-50 with ASPP: branched along a tree; --branching FILE sets the routes.
_base_ = './resnet50_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes=None))
