# The paper's training of the shared network.
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/mobilenetv2_shared.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
resources = dict(convention='paper')
