# Starts from the trained single-task networks of configs/single/resnet50_nyud.py.
_base_ = [
    '../_base_/datasets/nyud.py',
    '../_base_/models/resnet50_nddr.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(init_from='work_dirs/single/resnet50_nyud/iter_20000.pth'))
train_cfg = dict(max_iters=20000, val_interval=2000)
resources = dict(convention='paper')
