# What EfficientMTL's public code does where vitb_pascal does better: no sparsity is asked for, it
# comes from the decay of the gates; the support is one draw of them; outputs are penalised and
# thresholded, one threshold for all operators.
_base_ = './vitb_pascal.py'
model = dict(encoder=dict(threshold_on='output', align_on='output', thresholds=0.15))
sharing = dict(
    support='draw',
    stages=dict(
        gates=dict(
            encoder=dict(gate_form='sum'),
            optim_wrapper=dict(paramwise_cfg=dict(gate_lr=0.1, gate_decay=0.01)),
        )
    ),
)
