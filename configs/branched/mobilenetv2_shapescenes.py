# Give the tree with --branching work_dirs/bmtas/mobilenetv2_shapescenes/branching.json
_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/mobilenetv2_branched.py',
    '../_base_/schedules/retrain_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(weights=None)))
