# EfficientMTL's network: ViT-B/16 that starts from MAE's weights, a ConvNeXt head for each task.
# mae_pretrain_vit_base.pth of MAE, or MultiMAE's file in the MultiViT keys.
custom_imports = dict(imports=['bmtas.sharing'])
model = dict(
    type='SharingModel',
    encoder=dict(
        type='DeltaEncoder',
        backbone=dict(
            type='LayeredViT', drop_path=0.1, weights='weights/mae_pretrain_vit_base.pth'
        ),
        delta=dict(type='SparseDelta'),
    ),
    head=dict(type='ConvNeXtHead', embed_dim=3072),
    data_preprocessor=dict(type='MultiTaskPreprocessor', normalize='imagenet'),
)
