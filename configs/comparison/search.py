# BMTAS; benchmarks/comparison.py sets lambda
_base_ = [
    './_data.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(weights='offline')))
train_cfg = dict(
    warmup_updates=80, weight_updates=120, alpha_phase=20, weight_phase=20, hard='weights'
)
optim_wrapper = dict(
    weights=dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=1e-4)),
    alpha=dict(optimizer=dict(lr=0.1)),
)
resource_loss = dict(weight=20.0)
