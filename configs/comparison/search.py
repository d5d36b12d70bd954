# BMTAS; benchmarks/comparison.py sets lambda
_base_ = [
    './_data.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
method = 'bmtas'
model = dict(encoder=dict(backbone=dict(weights='offline')))
train_cfg = dict(
    warmup_updates=100, weight_updates=300, alpha_phase=30, weight_phase=30, hard='weights'
)
custom_hooks = [
    dict(type='GumbelTemperatureHook', start=5.0, end=0.1),
    dict(type='ResetBatchNormHook'),
    dict(type='ResetOptimizerStateHook', weights=True, alpha=False),
    dict(type='BranchingLogHook', interval=10),
    dict(type='SaveBranchingHook', interval=0),
]
optim_wrapper = dict(
    weights=dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=1e-4)),
    alpha=dict(optimizer=dict(lr=0.1)),
)
resource_loss = dict(weight=20.0)
