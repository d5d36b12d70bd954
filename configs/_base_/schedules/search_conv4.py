# BMTAS on a small network, as the benchmark of trees has it: 300 weight and 75 alpha updates.
_base_ = './search_paper.py'
search = dict(warmup_updates=40, weight_updates=300, alpha_phase=5, weight_phase=20)
optim_wrapper = dict(
    weights=dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.01, weight_decay=1e-4)),
    alpha=dict(optimizer=dict(lr=0.05, weight_decay=0.0)),
)
