# conv4: the supergraph, K candidates in every layer.
_base_ = './conv4_single.py'
model = dict(encoder=dict(type='SupergraphEncoder'))
