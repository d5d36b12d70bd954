"""Configs of a search and a training that take a second."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

BASES = f"""
_base_ = [
    '{ROOT}/configs/_base_/datasets/shapescenes.py',
    '{ROOT}/configs/_base_/models/mobilenetv2_KIND.py',
    '{ROOT}/configs/_base_/schedules/SCHEDULE.py',
    '{ROOT}/configs/_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=3), logger=dict(interval=2))
"""

NETWORK = """
tasks = [
    dict(name='semseg', kind='classes', num_classes=10, loss=dict(type='CrossEntropyLoss'),
         metric=dict(type='MeanIoU'), score='mIoU'),
    dict(name='sal', kind='mask', loss=dict(type='BalancedBCELoss'), weight=5.0,
         metric=dict(type='SaliencyIoU'), score='maxIoU'),
    dict(name='depth', kind='depth', loss=dict(type='DepthL1Loss'),
         metric=dict(type='DepthError'), score='rmse'),
]
model = dict(
    encoder=dict(backbone=dict(
        weights=None, output_stride=4, stem=['features.0'],
        layers=['features.1', 'features.2', 'features.3'],
        aspp=dict(type='RASPP', channels=8))),
    head=dict(low_proj=8, width=8),
)
_plain = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(length=14, antialias=1), **_plain)
val_dataloader = dict(dataset=dict(length=3, antialias=1), **_plain)
test_dataloader = dict(dataset=dict(length=3, antialias=1), **_plain)
"""

SEARCH = """
search = dict(
    warmup_updates=3, weight_updates=7, alpha_phase=2, weight_phase=4,
    log=dict(interval=2, heat_maps=7), save=dict(interval=4),
)
"""

TRAIN = """
train_cfg = dict(max_iters=8, val_interval=4)
"""


def write_config(path: Path, kind: str, schedule: str, extra: str) -> Path:
    """A complete config file of a tiny network."""
    bases = BASES.replace('KIND', kind).replace('SCHEDULE', schedule)
    path.write_text(bases + NETWORK + extra)
    return path
