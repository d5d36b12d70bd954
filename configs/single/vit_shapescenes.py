_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/vit_single.py',
    '../_base_/schedules/retrain_vit_short.py',
    '../_base_/default_runtime.py',
]
