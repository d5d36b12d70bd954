# A small ViT: the supergraph, K candidates in every layer.
_base_ = './vit_single.py'
model = dict(encoder=dict(type='SupergraphEncoder'))
