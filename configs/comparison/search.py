# BMTAS; lambda is set by the two budgets of benchmarks/comparison.py
_base_ = [
    './_data.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(weights='offline')))
train_cfg = dict(warmup_updates=100, weight_updates=160, alpha_phase=20, weight_phase=20, hard=True)
optim_wrapper = dict(alpha=dict(optimizer=dict(lr=0.1)))
resource_loss = dict(weight=20.0)
