_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/mobilenetv2_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(weights=None)))
# an image of 64x64 costs 0.1 to 0.3 GMAdds
search = dict(resource_loss=dict(weight=5.0))
