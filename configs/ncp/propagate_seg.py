# Move a code along the predictor's gradient: segmentation up, exact multiply-adds down. The other
# searches build on this file. Train the predictor first: configs/ncp/predictor_seg.py
_base_ = ['../_base_/default_runtime.py']
custom_imports = dict(imports=['bmtas.ncp'])
data_root = 'data/nas_bench_mr'
search = dict(
    type='CodePropagation',
    predictors={'seg': 'work_dirs/ncp/predictor_seg/predictor.pth'},
    combine='sum',
    pessimism=0.0,
    cost=dict(measure='madds', weight=0.5, source='exact'),
    # how multiply-adds are counted: the size and the head of the network that is meant
    count=dict(input_size=(128, 128), head='segmentation', classes=19, convention='mac'),
    grid='recorded',
    start='default',
    steps=dict(number=70, mode='continuous', lr=3.0),
)
