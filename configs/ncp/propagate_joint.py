# One code for three tasks with three data sets: the sum of their scores.
_base_ = ['./propagate_seg.py']
search = dict(
    predictors={
        'cls-50-1000': 'work_dirs/ncp/predictor_cls_50_1000/predictor.pth',
        'video': 'work_dirs/ncp/predictor_video/predictor.pth',
    },
)
