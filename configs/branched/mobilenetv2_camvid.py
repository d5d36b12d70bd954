# The network along a tree (--branching) on CamVid, at a size for two CPU cores.
_base_ = [
    '../_base_/datasets/camvid.py',
    '../_base_/models/mobilenetv2_branched.py',
    '../_base_/schedules/retrain_real.py',
    '../_base_/default_runtime.py',
]
