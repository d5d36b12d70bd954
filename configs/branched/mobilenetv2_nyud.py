# The paper's training of a branched network. The tree:
# --branching work_dirs/bmtas/mobilenetv2_nyud/branching.json
_base_ = [
    '../_base_/datasets/nyud.py',
    '../_base_/models/mobilenetv2_branched.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)
train_cfg = dict(max_iters=20000, val_interval=2000)
resources = dict(convention='paper')
