# Four blocks of one convolution with linear heads: one whole encoder for each task. The other
# encoders build on this file.
model = dict(
    type='MultiTaskModel',
    encoder=dict(
        type='SingleTaskEncoder',
        backbone=dict(
            type='LayeredBackbone', arch='conv4', output_stride=4, aspp=False, low_level_index=0
        ),
    ),
    head=dict(type='PixelShuffleHead'),
    data_preprocessor=dict(type='MultiTaskPreprocessor', normalize='unit'),
)
