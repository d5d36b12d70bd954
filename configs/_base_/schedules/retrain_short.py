# A training in minutes on two CPU cores, for small images.
_base_ = './retrain_paper.py'
train_cfg = dict(max_iters=600, val_interval=600)
optim_wrapper = dict(optimizer=dict(lr=0.02))
