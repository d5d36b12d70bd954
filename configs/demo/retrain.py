# The network of make demo, trained along the tree that configs/demo/search.py found.
_base_ = '../branched/mobilenetv2_shapescenes.py'

tasks = dict(human_parts=None, sal=None)
_loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=16, dataset=dict(length=800), **_loader)
val_dataloader = dict(dataset=dict(length=60), **_loader)
test_dataloader = dict(dataset=dict(length=100), **_loader)

train_cfg = dict(max_iters=150)
val_cfg = None
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=3e-3, weight_decay=1e-4),
)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=150))
log_processor = dict(window_size=20)
