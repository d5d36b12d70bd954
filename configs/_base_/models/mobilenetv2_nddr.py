# MobileNetV2 with R-ASPP: NDDR-CNN, started from the trained single networks.
_base_ = './mobilenetv2_single.py'
model = dict(encoder=dict(type='NDDREncoder', init_from=None, activation='relu6'))
