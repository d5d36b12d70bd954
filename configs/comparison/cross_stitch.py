_base_ = ['./_train.py', '../_base_/models/mobilenetv2_cross_stitch.py']
model = dict(encoder=dict(backbone=dict(weights='offline')))
# the units' values are no weights that should shrink
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'encoder.units': dict(decay_mult=0.0)}))
