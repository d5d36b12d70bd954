_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/mobilenetv2_mtan.py',
    '../_base_/schedules/retrain_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(weights=None)))
