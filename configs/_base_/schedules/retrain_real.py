# A training on real images in minutes on two CPU cores.
_base_ = './retrain_paper.py'
train_cfg = dict(max_iters=300, val_interval=300)
optim_wrapper = dict(optimizer=dict(lr=0.01))
