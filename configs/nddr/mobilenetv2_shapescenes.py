# Starts from the trained single-task networks of configs/single/mobilenetv2_shapescenes.py.
_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/mobilenetv2_nddr.py',
    '../_base_/schedules/retrain_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    encoder=dict(
        backbone=dict(weights=None),
        init_from='work_dirs/single/mobilenetv2_shapescenes/iter_600.pth',
    )
)
