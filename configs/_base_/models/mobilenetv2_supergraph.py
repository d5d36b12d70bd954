# MobileNetV2 with R-ASPP: the supergraph, K candidates in every layer.
_base_ = './mobilenetv2_single.py'
model = dict(encoder=dict(type='SupergraphEncoder'))
