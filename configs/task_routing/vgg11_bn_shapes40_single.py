# The end of no sharing: 40 networks, one of which learns from each batch. As many pairs of image
# and task as vgg11_bn_shapes40.py.
_base_ = './vgg11_bn_shapes40.py'
model = dict(
    encoder=dict(
        _delete_=True,
        type='SingleTaskEncoder',
        backbone=dict(
            type='LayeredBackbone', arch='vgg11_bn', output_stride=32, aspp=False, width=0.25
        ),
    )
)
custom_hooks = []
