# MobileNetV2 with R-ASPP: Cross-Stitch networks, started from the trained single networks.
_base_ = './mobilenetv2_single.py'
model = dict(encoder=dict(type='CrossStitchEncoder', init_from=None))
