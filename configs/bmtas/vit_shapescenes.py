_base_ = [
    '../_base_/datasets/shapescenes.py',
    '../_base_/models/vit_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
optim_wrapper = dict(
    weights=dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=1e-4))
)
# an image of 64x64 costs 0.1 to 0.5 GMAdds
search = dict(resource_loss=dict(weight=2.0))
