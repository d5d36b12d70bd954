# The paper's search; the budget is set by search.resource_loss.weight (lambda).
_base_ = [
    '../_base_/datasets/nyud_search.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_paper.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)
search = dict(weight_updates=20000)
resources = dict(convention='paper')
