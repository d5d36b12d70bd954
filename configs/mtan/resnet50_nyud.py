_base_ = [
    '../_base_/datasets/nyud.py',
    '../_base_/models/resnet50_mtan.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_iters=20000, val_interval=2000)
resources = dict(convention='paper')
