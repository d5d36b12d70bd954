_base_ = ['./_train.py', '../_base_/models/mobilenetv2_mtan.py']
model = dict(encoder=dict(backbone=dict(weights='offline')))
