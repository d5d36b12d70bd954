# What the public tool of the paper does: L1 criterion, predicted cost, values 8..128. Its predictor
# is one network: train with --cfg-options model.members=1 model.features=code
_base_ = ['./propagate_seg.py']
search = dict(
    _delete_=True,
    type='CodePropagation',
    reference=True,
    predictors={'seg': 'work_dirs/ncp/predictor_seg/predictor.pth'},
)
