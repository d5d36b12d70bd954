_base_ = [
    '../_base_/datasets/tabletop.py',
    '../_base_/models/mobilenetv2_single.py',
    '../_base_/schedules/retrain_real.py',
    '../_base_/default_runtime.py',
]
