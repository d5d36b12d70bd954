# MobileNetV2 with R-ASPP: branched along a tree; --branching FILE sets the routes.
_base_ = './mobilenetv2_single.py'
model = dict(encoder=dict(type='BranchedEncoder', routes=None))
