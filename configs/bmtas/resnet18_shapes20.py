# Which layers of a ResNet-18 do 20 attributes of rendered scenes share? Four candidates for each
# layer; the expected cost is drawn, since the exact one grows exponentially with the tasks.
_base_ = [
    '../_base_/datasets/shapes20.py',
    '../_base_/models/resnet18_supergraph.py',
    '../_base_/schedules/search_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    encoder=dict(
        num_candidates=4,
        backbone=dict(output_stride=32, weights=None, aspp=False),
    ),
    head=dict(_delete_=True, type='PooledLinearHead'),
)
# an image of 32x32 costs 0.04 to 0.15 GMAdds
search = dict(resource_loss=dict(mode='sampled', weight=5.0))
