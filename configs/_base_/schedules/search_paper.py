# The search of the BMTAS paper (BMVC 2020), with the defaults of GradientSearch: 2000 warm-up
# updates, then cycles of one pass over 20 % of the images for alpha and one over 80 % for the
# weights, until 40000 weight updates are done; temperature from 5 to 0.1.
# lambda = search.resource_loss.weight, per GMAdd of the expected network
search = dict(type='GradientSearch', resource_loss=dict(weight=0.1))

optim_wrapper = dict(
    constructor='BranchingOptimWrapperConstructor',
    weights=dict(optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4)),
    alpha=dict(optimizer=dict(type='Adam', lr=0.01, weight_decay=5e-5)),
)
param_scheduler = dict(weights=[dict(type='PolyLR', power=0.9, by_epoch=False)], alpha=[])
