# One encoder for each of three tasks on CamVid, at a size for two CPU cores.
_base_ = [
    '../_base_/datasets/camvid.py',
    '../_base_/models/mobilenetv2_single.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_iters=300, val_interval=300)
optim_wrapper = dict(optimizer=dict(lr=0.01))
