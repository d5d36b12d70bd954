# What the public tool of the paper does: L1 criterion, predicted cost, values 8..128. Its predictor
# is one network: configs/ncp/predictor_seg_reference.py, or the public tool's own weights, which
# bmtas ncp import reads.
_base_ = ['./propagate_seg.py']
search = dict(
    _delete_=True,
    type='CodePropagation',
    reference=True,
    predictors={'seg': 'work_dirs/ncp/predictor_seg_reference/predictor.pth'},
)
