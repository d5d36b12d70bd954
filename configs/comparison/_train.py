# The training that every network of docs/comparison.md gets.
_base_ = ['./_data.py', '../_base_/schedules/retrain_short.py', '../_base_/default_runtime.py']
train_cfg = dict(max_iters=300)
val_cfg = None
default_hooks = dict(checkpoint=dict(interval=300))
