# EfficientMTL on PASCAL-Context: semseg as base; human_parts, sal, normals and edge as deltas.
_base_ = [
    '../_base_/datasets/pascal_atrc.py',
    '../_base_/models/vitb_sharing.py',
    '../_base_/schedules/sharing_paper.py',
    '../_base_/default_runtime.py',
]
# four processes
train_dataloader = dict(batch_size=4)
tasks = dict(
    human_parts=dict(head=dict(embed_dim=1536)),
    normals=dict(head=dict(embed_dim=1536), weight=1.0),
)

_large = dict(batch_size=25)


def _rate(lr):
    return dict(optimizer=dict(type='AdamW', lr=lr, weight_decay=1e-6))


sharing = dict(
    stages=dict(
        gates=dict(
            by_task=dict(
                normals=dict(optim_wrapper=_rate(1e-4), train_dataloader=_large),
                sal=dict(encoder=dict(gate_weight=1.25e-8)),
                edge=dict(encoder=dict(gate_weight=1.25e-8)),
            )
        ),
        support=dict(
            by_task=dict(
                normals=dict(optim_wrapper=_rate(1e-4), train_dataloader=dict(batch_size=15))
            )
        ),
        align=dict(
            # 250 epochs of 4998 images, 24 at a time
            train_cfg=dict(max_iters=52000),
            by_task=dict(
                edge=dict(
                    optim_wrapper=_rate(1e-5),
                    encoder=dict(align_weight=0.397),
                    train_cfg=dict(max_iters=120000),
                ),
                sal=dict(optim_wrapper=_rate(5e-6)),
                normals=dict(
                    optim_wrapper=_rate(5e-5),
                    encoder=dict(align_weight=0.132),
                    train_dataloader=dict(batch_size=8),
                ),
            ),
        ),
    )
)
