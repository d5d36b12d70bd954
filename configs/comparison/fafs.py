_base_ = ['./_train.py', '../_base_/models/mobilenetv2_branched.py']
model = dict(encoder=dict(backbone=dict(weights=None)))
search = dict(type='FAFSSearch', difficulty=dict(edge='loss'))
