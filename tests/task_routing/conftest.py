"""A small routed network with its data, trained for a few updates."""

import pytest

CONFIG = """
_base_ = [
    '{root}/configs/_base_/datasets/shapes40.py',
    '{root}/configs/_base_/models/vgg11_bn_routed.py',
    '{root}/configs/_base_/schedules/routed_short.py',
    '{root}/configs/_base_/default_runtime.py',
]
tasks = dict(
    _delete_=True,
    person=dict(kind='category', num_classes=2, score='balanced_accuracy'),
    ball=dict(kind='category', num_classes=2, score='balanced_accuracy'),
    floor_texture=dict(kind='category', num_classes=5),
    depth=dict(kind='depth', head=dict(type='DeepLabV3PlusHead', low_proj=8, width=16)),
)
model = dict(encoder=dict(backbone=dict(width=0.125)), head=dict(pool_size=1))
train_cfg = dict(max_iters=8, val_interval=4)
train_dataloader = dict(batch_size=8, dataset=dict(length=24))
val_dataloader = dict(batch_size=8, dataset=dict(length=8))
test_dataloader = dict(batch_size=8, dataset=dict(length=8))
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=-1))
custom_hooks = [dict(type='MaskFileHook'), dict(type='RoamingHook', interval=2, ratio=0.5)]
"""


@pytest.fixture(scope='session')
def config(tmp_path_factory, request):
    path = tmp_path_factory.mktemp('routed') / 'routed.py'
    path.write_text(CONFIG.format(root=request.config.rootpath))
    return path
