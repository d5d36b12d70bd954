# The paper's training of a branched network. The tree:
# --branching work_dirs/bmtas/mobilenetv2_pascal/branching.json
_base_ = [
    '../_base_/datasets/pascal.py',
    '../_base_/models/mobilenetv2_branched.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
resources = dict(convention='paper')
