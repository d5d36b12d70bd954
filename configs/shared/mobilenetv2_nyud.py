# The paper's training of the shared network.
_base_ = [
    '../_base_/datasets/nyud.py',
    '../_base_/models/mobilenetv2_shared.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)
train_cfg = dict(max_iters=20000, val_interval=2000)
resources = dict(convention='paper')
