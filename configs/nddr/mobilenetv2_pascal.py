# Starts from the trained single-task networks of configs/single/mobilenetv2_pascal.py.
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/mobilenetv2_nddr.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(init_from='work_dirs/single/mobilenetv2_pascal/iter_40000.pth'))
resources = dict(convention='paper')
