# MobileNetV2 with R-ASPP: one whole encoder for each task. The other encoders build on this file.
model = dict(
    type='MultiTaskModel',
    encoder=dict(
        type='SingleTaskEncoder',
        backbone=dict(
            type='LayeredBackbone', arch='mobilenet_v2', output_stride=16, weights='imagenet'
        ),
    ),
    head=dict(type='DeepLabV3PlusHead', low_proj=48, width=128, separable=True, activation='relu6'),
    data_preprocessor=dict(type='MultiTaskPreprocessor', normalize='unit'),
)
