_base_ = [
    '../_base_/datasets/shapescenes32.py',
    '../_base_/models/conv4_shared.py',
    '../_base_/schedules/retrain_conv4.py',
    '../_base_/default_runtime.py',
]
# teams of threads cost more than they bring for operators this small
env_cfg = dict(num_threads=1)
default_hooks = dict(checkpoint=dict(interval=300))
