# ResNet-50 with ASPP: NDDR-CNN, started from the trained single networks.
_base_ = './resnet50_single.py'
model = dict(encoder=dict(type='NDDREncoder', init_from=None, activation='relu'))
