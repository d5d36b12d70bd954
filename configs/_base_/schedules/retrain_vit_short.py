# A training of a small ViT in minutes on two CPU cores, for small images.
_base_ = './retrain_short.py'
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=1e-4))
