_base_ = [
    '../_base_/datasets/tabletop.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_paper.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(warmup_updates=200, weight_updates=4000)
resource_loss = dict(weight=0.5)
