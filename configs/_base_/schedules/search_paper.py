# The search of the BMTAS paper (BMVC 2020): 2000 warm-up updates, then cycles of one pass over 20 %
# of the images for alpha and one over 80 % for the weights, until 40000 weight updates are done.
train_cfg = dict(
    type='BranchingSearchLoop', warmup_updates=2000, weight_updates=40000, alpha_fraction=0.2
)

# lambda = resource_loss.weight, per GMAdd of the expected network
resource_loss = dict(weight=0.1, mode='exact')

optim_wrapper = dict(
    constructor='BranchingOptimWrapperConstructor',
    weights=dict(optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4)),
    alpha=dict(optimizer=dict(type='Adam', lr=0.01, weight_decay=5e-5)),
)
param_scheduler = dict(weights=[dict(type='PolyLR', power=0.9, by_epoch=False)], alpha=[])

custom_hooks = [
    dict(type='GumbelTemperatureHook', start=5.0, end=0.1),
    dict(type='ResetBatchNormHook'),
    dict(type='ResetOptimizerStateHook', weights=True, alpha=False),
    dict(type='BranchingLogHook', interval=50, heat_maps=5000),
    dict(type='SaveBranchingHook', interval=1000),
]
