# BMTAS; benchmarks/comparison.py sets lambda
_base_ = [
    './_data.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
method = 'bmtas'
model = dict(encoder=dict(backbone=dict(weights='offline')))
search = dict(
    weight_updates=300,
    alpha_phase=30,
    weight_phase=30,
    hard='weights',
    resource_loss=dict(weight=20.0),
    log=dict(interval=10),
)
optim_wrapper = dict(
    weights=dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=1e-4)),
    alpha=dict(optimizer=dict(lr=0.1)),
)
