# vitb_nyud with what EfficientMTL's public code does: see vitb_pascal_ref; factors of scale are 1.5
# to 3.0 there by a misread argument.
_base_ = './vitb_nyud.py'
model = dict(encoder=dict(threshold_on='output', align_on='output', thresholds=0.15))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='RandomScale', scale_range=(1.5, 3.0)),
            dict(type='RandomCrop', size=416),
            dict(type='RandomHorizontalFlip'),
            dict(type='PackSample'),
        ]
    )
)
sharing = dict(
    support='draw',
    stages=dict(
        gates=dict(
            encoder=dict(gate_form='sum'),
            optim_wrapper=dict(paramwise_cfg=dict(gate_lr=0.1, gate_decay=0.01)),
        )
    ),
)
