# The paper's training of the single-task networks.
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/resnet50_single.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=8)
resources = dict(convention='paper')
