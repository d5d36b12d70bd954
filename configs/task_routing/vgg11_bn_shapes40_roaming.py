# As vgg11_bn_shapes40.py, with masks that move during training until each task has seen every unit.
_base_ = './vgg11_bn_shapes40.py'
# what is run on kept channels alone is built anew after each move
model = dict(encoder=dict(kept_only=False))
custom_hooks = [dict(type='MaskFileHook'), dict(type='RoamingHook', interval=100, ratio=1.0)]
