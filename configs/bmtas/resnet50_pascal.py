# The paper's search; the budget is set by search.resource_loss.weight (lambda).
_base_ = [
    '../_base_/datasets/pascal_search.py',
    '../_base_/models/resnet50_supergraph.py',
    '../_base_/schedules/search_paper.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=8)
resources = dict(convention='paper')
