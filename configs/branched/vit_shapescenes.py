# Give the tree with --branching work_dirs/bmtas/vit_shapescenes/branching.json
_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/vit_branched.py',
    '../_base_/schedules/retrain_vit_short.py',
    '../_base_/default_runtime.py',
]
