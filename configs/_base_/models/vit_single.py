# A small ViT: one whole encoder for each task. The other encoders build on this file.
model = dict(
    type='MultiTaskModel',
    encoder=dict(
        type='SingleTaskEncoder',
        backbone=dict(type='LayeredViT', dim=128, depth=6, heads=4, patch=8),
    ),
    head=dict(type='ConvNeXtHead', embed_dim=768),
    data_preprocessor=dict(type='MultiTaskPreprocessor', normalize='unit'),
)
