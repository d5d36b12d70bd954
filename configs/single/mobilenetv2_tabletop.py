_base_ = [
    '../_base_/datasets/tabletop.py',
    '../_base_/models/mobilenetv2_single.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_iters=4000, val_interval=1000)
