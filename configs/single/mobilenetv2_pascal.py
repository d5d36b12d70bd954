# The paper's training of the single-task networks.
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/mobilenetv2_single.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
resources = dict(convention='paper')
