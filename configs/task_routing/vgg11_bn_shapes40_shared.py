# The end of much sharing: one whole VGG-11 for all 40 attributes, all labels of an image in one
# pass. As many pairs of image and task as vgg11_bn_shapes40.py.
_base_ = './vgg11_bn_shapes40.py'
model = dict(
    encoder=dict(
        _delete_=True,
        type='BranchedEncoder',
        routes='shared',
        backbone=dict(
            type='LayeredBackbone', arch='vgg11_bn', output_stride=32, aspp=False, width=0.25
        ),
    )
)
train_cfg = dict(tasks_per_step='all', max_iters=312, val_interval=312)
custom_hooks = []
