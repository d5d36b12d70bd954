# Clips: a base trained to change little from frame to frame, sub-tasks of rank 8 that are aligned
# with the base and with the frame before; key frames every fourth.
_base_ = './vit_lowrank_shapescenes.py'
_clip = dict(clip=8, neighbours=(-1, 1))
train_dataloader = dict(dataset=dict(length=250, **_clip))
val_dataloader = dict(dataset=dict(length=25, clip=8))
test_dataloader = dict(dataset=dict(length=50, clip=8))
test_cfg = dict(_delete_=True, type='ClipTestLoop')
model = dict(encoder=dict(video=dict(interval=4, switch_layer=3)))
sharing = dict(
    stages=dict(
        temporal=dict(
            train_cfg=dict(max_iters=300, val_interval=300), encoder=dict(temporal_weight=1.0)
        ),
        align=dict(encoder=dict(temporal_weight=1.0)),
    )
)
