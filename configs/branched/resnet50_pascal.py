# The paper's training of a branched network. The tree:
# --branching work_dirs/bmtas/resnet50_pascal/branching.json
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/resnet50_branched.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=8)
resources = dict(convention='paper')
