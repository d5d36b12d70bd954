# MobileNetV2 with R-ASPP: multi-task attention network.
_base_ = './mobilenetv2_single.py'
model = dict(encoder=dict(type='MTANEncoder', separable=True, activation='relu6'))
