# What the public code of BMTAS does where it differs from the paper: Adam on the weights at a
# constant rate, the resource term in GFLOPs by the recursion over partitions and once per task, the
# state of both optimizers cleared in every cycle, one temperature per cycle.
_base_ = './search_paper.py'
search = dict(
    weight_updates=37848,
    warmup_updates=1992,
    alpha_init_std=0.0,
    resource_loss=dict(weight=0.05, mode='paper', unit='gflops', per_task=True),
    temperature=dict(by='cycle'),
    reset_optimizer=dict(alpha=True),
)
optim_wrapper = dict(
    weights=dict(
        optimizer=dict(_delete_=True, type='Adam', lr=0.001, weight_decay=1e-4),
    ),
)
param_scheduler = dict(weights=[])
