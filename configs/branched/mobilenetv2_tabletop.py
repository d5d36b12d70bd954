# Give the tree with --branching work_dirs/bmtas/mobilenetv2_tabletop/branching.json
_base_ = [
    '../_base_/datasets/tabletop.py',
    '../_base_/models/mobilenetv2_branched.py',
    '../_base_/schedules/retrain_real.py',
    '../_base_/default_runtime.py',
]
