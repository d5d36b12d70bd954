# One encoder for all tasks on Cityscapes in LibMTL's layout.
_base_ = [
    '../_base_/datasets/libmtl_cityscapes.py',
    '../_base_/models/resnet50_shared.py',
    '../_base_/schedules/retrain_paper.py',
    '../_base_/default_runtime.py',
]
model = dict(data_preprocessor=dict(normalize='imagenet'))
