# Cells of nas-bench-201; every cell has a record, so the report shows the truth.
_base_ = ['./propagate_seg.py']
search = dict(
    _delete_=True,
    type='CodePropagation',
    predictors={'nas-bench-201': 'work_dirs/ncp/predictor_nas_bench_201/predictor.pth'},
    cost=dict(measure='madds', weight=0.0),
    start='random',
    starts=16,
    steps=dict(number=70, mode='continuous', lr=0.5),
)
