# As propagate_seg.py for the setting cls-50-1000.
_base_ = ['./propagate_seg.py']
search = dict(
    predictors={
        '_delete_': True,
        'cls-50-1000': 'work_dirs/ncp/predictor_cls_50_1000/predictor.pth',
    },
    count=dict(head='classification', classes=50),
)
