# VGG-11 with batch norm as in the paper on task routing (ICCV 2019): output stride 32, no context
# module, a branch of one linear layer for each task; half of the channels of each layer for a task.
custom_imports = dict(imports=['bmtas.task_routing'])

model = dict(
    type='MultiTaskModel',
    encoder=dict(
        type='RoutedEncoder',
        backbone=dict(type='LayeredBackbone', arch='vgg11_bn', output_stride=32, aspp=False),
        keep_ratio=0.5,
    ),
    head=dict(type='PooledLinearHead', pool_size=7),
)
