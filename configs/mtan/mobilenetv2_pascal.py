_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/mobilenetv2_mtan.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
resources = dict(convention='paper')
