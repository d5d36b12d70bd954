# EfficientMTL's stages on 4 GPUs, mended: the sparsity is asked for, gates are not decayed, the
# penalty of align is a mean at what the operators read, and gradients are clipped for deltas.
_adamw = dict(type='AdamW', lr=2e-5, weight_decay=1e-6)
_poly = [dict(type='PolyLR', power=0.9, by_epoch=False)]
_long = dict(max_iters=120000, val_interval=12000)
train_cfg = dict(type='SharingTrainLoop', **_long)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='SharingTestLoop')
optim_wrapper = dict(
    type='OptimWrapper', constructor='SharingOptimWrapperConstructor', optimizer=_adamw
)
param_scheduler = _poly

sharing = dict(
    base_task='semseg',
    density=0.05,
    stages=dict(
        base=dict(
            optim_wrapper=dict(optimizer=_adamw, paramwise_cfg=dict(layer_decay=0.75)),
            param_scheduler=[
                dict(type='LinearLR', start_factor=1e-3, end=312, by_epoch=False),
                dict(type='CosineAnnealingLR', begin=312, by_epoch=False),
            ],
        ),
        gates=dict(
            encoder=dict(gate_weight=5e-8),
            optim_wrapper=dict(optimizer=_adamw, clip_grad=dict(max_norm=10)),
            train_dataloader=dict(batch_size=6),
        ),
        support=dict(train_dataloader=dict(batch_size=6)),
        align=dict(
            encoder=dict(align_weight=0.198),
            optim_wrapper=dict(optimizer=_adamw, clip_grad=dict(max_norm=60)),
            train_dataloader=dict(batch_size=6),
        ),
    ),
)
