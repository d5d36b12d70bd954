# ResNet-50 with ASPP: the supergraph, K candidates in every layer.
_base_ = './resnet50_single.py'
model = dict(encoder=dict(type='SupergraphEncoder'))
