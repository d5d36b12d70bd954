# Sub-tasks as deltas of rank 8: trained, then aligned; no gates.
_base_ = './vit_shapescenes.py'
model = dict(encoder=dict(delta=dict(_delete_=True, type='LowRankDelta', rank=8), rows=True))
sharing = dict(
    stages=dict(
        _delete_=True,
        base=dict(),
        support=dict(train_cfg=dict(max_iters=450, val_interval=450)),
        align=dict(train_cfg=dict(max_iters=150, val_interval=150), encoder=dict(align_weight=1.0)),
    ),
)
