# As propagate_seg.py for the setting video.
_base_ = ['./propagate_seg.py']
search = dict(
    predictors={
        '_delete_': True,
        'video': 'work_dirs/ncp/predictor_video/predictor.pth',
    },
    count=dict(head='classification', classes=50),
)
