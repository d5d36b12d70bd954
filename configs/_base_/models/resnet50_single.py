# ResNet-50 with ASPP: one whole encoder for each task. The other encoders build on this file.
model = dict(
    type='MultiTaskModel',
    encoder=dict(
        type='SingleTaskEncoder',
        backbone=dict(
            type='LayeredBackbone', arch='resnet50', output_stride=16, weights='imagenet'
        ),
    ),
    head=dict(type='DeepLabV3PlusHead', low_proj=48, width=256, separable=False, activation='relu'),
    data_preprocessor=dict(type='MultiTaskPreprocessor', normalize='unit'),
)
