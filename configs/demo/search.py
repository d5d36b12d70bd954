# The search of make demo: four tasks, some minutes on two CPU cores.
_base_ = '../bmtas/mobilenetv2_shapescenes.py'

tasks = dict(human_parts=None, sal=None)
# scenes are rendered once and kept; two cores have better things to do than to run workers
_loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=8, dataset=dict(length=500), **_loader)
val_dataloader = dict(dataset=dict(length=60), **_loader)
test_dataloader = dict(dataset=dict(length=100), **_loader)

search = dict(
    warmup_updates=50,
    weight_updates=60,
    alpha_phase=12,
    weight_phase=12,
    # straight-through samples for the weights: one candidate runs for each task and layer
    hard='weights',
    resource_loss=dict(weight=60.0),
    reset_optimizer=dict(weights=False),
    log=dict(interval=5),
)
optim_wrapper = dict(
    weights=dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=1e-4)),
    alpha=dict(optimizer=dict(lr=0.5)),
)
default_hooks = dict(logger=dict(interval=10))
log_processor = dict(window_size=10)
