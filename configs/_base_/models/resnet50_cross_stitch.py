# ResNet-50 with ASPP: Cross-Stitch networks, started from the trained single networks.
_base_ = './resnet50_single.py'
model = dict(encoder=dict(type='CrossStitchEncoder', init_from=None))
