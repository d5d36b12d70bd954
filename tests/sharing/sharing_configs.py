"""Configs of all stages that take seconds."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

TINY = f"""
_base_ = ['{ROOT}/configs/sharing/NAME.py']
input_size = (32, 32)
_data = dict(dataset=dict(size=32), num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(size=32, length=8), num_workers=0, persistent_workers=False)
train_dataloader['batch_size'] = 2
val_dataloader = dict(dataset=dict(size=32, length=4), num_workers=0, persistent_workers=False)
test_dataloader = dict(dataset=dict(size=32, length=4), num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=3)
val_cfg = None
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=2), logger=dict(interval=1))
model = dict(
    encoder=dict(backbone=dict(dim=16, depth=2, heads=2)), head=dict(embed_dim=64, depth=1)
)
_three = dict(train_cfg=dict(max_iters=3))
sharing = dict(stages=dict(support=_three, align=_three EXTRA))
"""
EXTRA = dict(
    vit_shapescenes=', gates=_three',
    vit_lowrank_shapescenes='',
    vit_clips_shapescenes=', temporal=_three',
)


def write_config(folder, name='vit_shapescenes'):
    path = folder / f'{name}.py'
    path.write_text(TINY.replace('NAME', name).replace('EXTRA', EXTRA[name]))
    return path
