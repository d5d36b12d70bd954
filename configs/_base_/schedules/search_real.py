# A search on real images in half an hour on two CPU cores: straight-through weight updates.
_base_ = './search_short.py'
search = dict(
    weight_updates=160,
    alpha_phase=20,
    weight_phase=20,
    hard='weights',
    resource_loss=dict(weight=1.0),
)
optim_wrapper = dict(alpha=dict(optimizer=dict(lr=0.1)))
