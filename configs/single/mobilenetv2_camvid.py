# One encoder for each of three tasks on CamVid, at a size for two CPU cores.
_base_ = [
    '../_base_/datasets/camvid.py',
    '../_base_/models/mobilenetv2_single.py',
    '../_base_/schedules/retrain_real.py',
    '../_base_/default_runtime.py',
]
