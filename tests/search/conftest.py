"""A small search: MobileNetV2 at 32x32, three tasks on rendered scenes."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from bmtas.engine.config import load_config
from bmtas.registry import MODELS
from bmtas.resources import table_from_cfg
from bmtas.search import SearchContext

TASKS = dict(
    semseg=dict(kind='classes', num_classes=10),
    normals=dict(kind='normals'),
    edge=dict(kind='mask', loss=dict(type='WeightedBCELoss'), metric=dict(type='EdgeFMeasure')),
)


@pytest.fixture(scope='session')
def make_context(tmp_path_factory):
    """Context of a search in a fresh folder; options replace keys of the config."""

    tables = []

    def make(**options):
        init_default_scope('bmtas')
        data = dict(type='ShapeScenes', size=(32, 32), labels=list(TASKS))
        pipeline = [dict(type='PackSample')]
        flipping = [dict(type='RandomHorizontalFlip'), *pipeline]
        cfg = dict(
            tasks=TASKS,
            input_size=(32, 32),
            model=dict(
                type='MultiTaskModel',
                encoder=dict(
                    type='BranchedEncoder',
                    routes=None,
                    backbone=dict(type='LayeredBackbone', arch='mobilenet_v2', weights='imagenet'),
                ),
                head=dict(type='DeepLabV3PlusHead', low_proj=8, width=16),
            ),
            train_dataloader=dict(dataset=dict(data, split='train', pipeline=flipping)),
            val_dataloader=dict(dataset=dict(data, split='val', pipeline=pipeline)),
        )
        cfg = Config({**cfg, **options})
        tables.append(tables[0] if tables else table_from_cfg(cfg))
        context = SearchContext(cfg, tmp_path_factory.mktemp('search'))
        vars(context)['table'] = tables[0]  # counted once for all
        return context

    return make


@pytest.fixture(scope='session')
def make_checkpoint(tmp_path_factory):
    """Checkpoint of an untrained network of the small config with the given encoder."""

    def make(context, seed=0, **encoder):
        torch.manual_seed(seed)
        backbone = dict(context.cfg.model.encoder.backbone, weights=None)
        encoder = dict(encoder, backbone=backbone)
        model = MODELS.build(dict(context.cfg.model, tasks=TASKS, encoder=encoder))
        path = tmp_path_factory.mktemp('checkpoint') / 'epoch_1.pth'
        torch.save(dict(state_dict=model.state_dict(), meta={}), path)
        return str(path)

    return make


@pytest.fixture(scope='session')
def with_budget():
    """The same context with another budget: ``with_budget(context, budget)``."""

    def make(context, budget):
        other = SearchContext(Config(dict(context.cfg, budget=budget)), context.work_dir)
        kept = ('tasks', 'table')
        vars(other).update({key: vars(context)[key] for key in kept if key in vars(context)})
        return other

    return make


ROOT = Path(__file__).resolve().parents[2]
TREES = f"""
_base_ = ['{ROOT}/configs/branched/mobilenetv2_shapescenes.py']
tasks = {{'_delete_': True, **{{name: _base_.tasks[name] for name in ('semseg', 'sal', 'depth')}}}}
model = dict(
    encoder=dict(backbone=dict(
        weights=None, output_stride=4, stem=['features.0'],
        layers=['features.1', 'features.2', 'features.3'],
        aspp=dict(type='RASPP', channels=8))),
    head=dict(low_proj=8, width=8),
)
_plain = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(length=20, antialias=1), **_plain)
val_dataloader = dict(dataset=dict(length=3, antialias=1), **_plain)
test_dataloader = dict(dataset=dict(length=3, antialias=1), **_plain)
train_cfg = dict(max_iters=8)
search = dict(type='SurrogateSearch', count=8, length=0.25, rounds=0)
"""


@pytest.fixture
def trees_config(tmp_path):
    """Config of a search over 3 tasks and 4 layers: ``trees_config('folder', **options)``."""
    path = tmp_path / 'trees.py'
    path.write_text(TREES)

    def make(folder='work', **options):
        return load_config(path, options, work_dir=tmp_path / folder)

    return make
