# EfficientMTL on NYUD-v2 with frames: semseg as base, trained to change little in time; depth,
# normals and edge as deltas. The public code has the base's scripts only; the sub-tasks' numbers
# are those of PASCAL-Context, and the folders of their labels are ours: see label_files.
_base_ = [
    '../_base_/datasets/nyud.py',
    '../_base_/models/vitb_sharing.py',
    '../_base_/schedules/sharing_paper.py',
    '../_base_/default_runtime.py',
]
data_root = 'data/Video_nyu_one_time_interval'
input_size = (480, 640)
tasks = dict(
    depth=dict(head=dict(embed_dim=1536)),
    normals=dict(head=dict(embed_dim=1536), weight=1.0),
)

_files = dict(
    depth=dict(folder='depth', suffix='.npy'),
    normals=dict(folder='normals', suffix='.png'),
    edge=dict(folder='edge', suffix='.png', threshold=127),
)
_dataset = dict(_delete_=True, type='NYUDVideo', data_root=data_root, label_files=_files)
_test = dict(split='test', pipeline=[dict(type='PadTo', size=input_size), dict(type='PackSample')])
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        split='train',
        pipeline=[
            dict(type='RandomScale', scale_range=(0.5, 2.0)),
            dict(type='RandomCrop', size=416),
            dict(type='RandomHorizontalFlip'),
            dict(type='PackSample'),
        ],
        **_dataset,
    ),
)
val_dataloader = dict(dataset=dict(**_dataset, **_test))
test_dataloader = dict(dataset=dict(**_dataset, **_test))

sharing = dict(
    stages=dict(
        base=dict(
            # 2500 epochs, 50 images at a time
            train_cfg=dict(max_iters=40000, val_interval=4000),
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=1e-5 * 50 / 256, weight_decay=1e-6),
                paramwise_cfg=dict(layer_decay=0.75),
            ),
        ),
        temporal=dict(
            train_cfg=dict(max_iters=20000, val_interval=4000),
            # 4e-9 times the sum over 20 images of 416x416, as a mean
            encoder=dict(temporal_weight=7.5),
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=1e-4 * 20 / 256, weight_decay=1e-6),
                paramwise_cfg=dict(layer_decay=0.75),
            ),
        ),
        gates=dict(train_cfg=dict(max_iters=40000, val_interval=4000)),
        support=dict(train_cfg=dict(max_iters=40000, val_interval=4000)),
        align=dict(
            train_cfg=dict(max_iters=20000, val_interval=4000),
            encoder=dict(temporal_weight=0.198),
        ),
    )
)
