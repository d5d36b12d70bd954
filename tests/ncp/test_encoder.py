"""A network code as a multi-task network: interface, cost, config."""

from pathlib import Path

import pytest
import torch

from bmtas.engine.build import build_runner
from bmtas.engine.config import load_config
from bmtas.engine.test import run_test
from bmtas.ncp import CostModel, MultiResolutionEncoder, MultiResolutionNetwork, NetworkCode
from bmtas.registry import MODELS
from bmtas.resources import count_model
from bmtas.resources.report import cost_report
from bmtas.tasks import build_tasks

CODE = '16_8-1_1_1_16-1_2_1_1_8_24-1_3_1_2_1_16_24_32-1_4_1_1_1_1_24_16_8_16-40'
CONFIG = Path(__file__).parents[2] / 'configs' / 'ncp' / 'train_code_shapescenes.py'


def test_encoder_gives_every_task_the_same_pair():
    encoder = MultiResolutionEncoder(MultiResolutionNetwork(CODE), ['a', 'b']).eval()
    image = torch.rand(2, 3, 72, 56)
    with torch.no_grad():
        features = encoder(image, ['b'])
        branches = encoder.branches(image)
    deep, low = features['b']
    assert list(features) == ['b']
    assert (
        (encoder.deep_channels, encoder.low_channels) == (40, 24) == (deep.shape[1], low.shape[1])
    )
    assert deep.shape[-2:] == low.shape[-2:] == (18, 14)
    torch.testing.assert_close(low, branches[0])
    held = [id(p) for part in encoder.parts() for p in part.module.parameters()]
    assert sorted(held) == sorted(map(id, encoder.parameters()))
    with pytest.raises(ValueError, match="unknown task 'c'"):
        encoder(image, ['c'])


def test_common_counter_and_closed_form_agree():
    cfg = load_config(CONFIG, {'model.encoder.backbone.code': CODE})
    model = MODELS.build(cfg.model)
    code, size = NetworkCode.parse(CODE), (64, 96)
    one, two = (CostModel(size, 'segmentation', classes) for classes in (1, 2))
    # less the classifier, which the heads replace
    madds = 2 * one.madds(code) - two.madds(code)
    params = 2 * one.params(code) - two.params(code)
    counted = count_model(model, size, 'mac')
    heads = sum(p.numel() for p in model.heads.parameters())
    assert sum(p.numel() for p in model.encoder.parameters()) == params
    assert counted['params'] == params + heads
    tasks = len(model.tasks)
    single = MODELS.build({**cfg.model, 'tasks': build_tasks(cfg.tasks)[:1]})
    rest = sum(
        count_model(MODELS.build({**cfg.model, 'tasks': [task]}), size)['madds'] - madds
        for task in build_tasks(cfg.tasks)
    )
    assert counted['madds'] == madds + rest and tasks == 6 and single.heads.keys() == {'semseg'}


def test_config_takes_a_code_and_learns_a_step():
    cfg = load_config(CONFIG, {'model.encoder.backbone.code': CODE})
    model = MODELS.build(cfg.model)
    assert model.encoder.branches.code.text == CODE
    logits = model(torch.rand(2, 3, 64, 64))
    assert {name: tuple(v.shape[1:]) for name, v in logits.items()} == {
        task.name: (task.channels, 64, 64) for task in model.tasks
    }
    sum(v.square().mean() for v in logits.values()).backward()
    assert all(p.grad is not None for p in model.encoder.parameters())


def test_resource_report_of_a_code_adds_up():
    code = NetworkCode.parse(CODE.replace('-1_2_1_1_', '-2_2_1_1_'))
    cfg = load_config(CONFIG, {'model.encoder.backbone.code': code.text})
    report = cost_report(cfg)
    names = ['stage1.0', 'stage2.0', 'stage2.1', 'stage3.0', 'stage4.0', 'fuse']
    assert report['layer_names'] == names
    counted = count_model({**cfg.model, 'tasks': cfg.tasks}, cfg.input_size)
    assert report['total'] == counted['madds'] and report['params'] == counted['params']
    one, two = (CostModel((64, 64), 'segmentation', classes) for classes in (1, 2))
    # less the classifier, which the heads replace
    network = report['stem'] + sum(report['layers'])
    assert network == 2 * one.madds(code) - two.madds(code)
    assert network + sum(report['heads'].values()) == counted['madds'] and not report['other']
    with pytest.raises(ValueError, match='MultiResolutionEncoder takes no branching tree'):
        cost_report(cfg, tree=object())


@pytest.mark.parametrize('quantity', ['params', 'activations', 'latency'])
def test_resource_report_of_other_quantities(quantity):
    cfg = load_config(CONFIG, {'model.encoder.backbone.code': CODE})
    report = cost_report(cfg, quantity=quantity)
    parts = [report['stem'], *report['layers'], *report['heads'].values()]
    assert sum(parts) + report['other'] == report['total'] and all(part > 0 for part in parts)
    if quantity != 'latency':  # measured times of the parts and of the whole differ
        assert report['other'] == 0
    if quantity == 'params':
        assert report['total'] == report['params']


def test_a_checkpoint_knows_its_code(tmp_path):
    options = {
        'model.encoder.backbone.code': CODE,
        'train_cfg.max_iters': 1,
        'train_cfg.val_interval': 1,
        'default_hooks.checkpoint.interval': 1,
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
        **{f'{part}_dataloader.dataset.length': 4 for part in ('train', 'val', 'test')},
    }
    cfg = load_config(CONFIG, options, work_dir=tmp_path)
    cfg.launcher, cfg.resume = 'none', False
    build_runner(cfg, 'train').train()
    del options['model.encoder.backbone.code']
    cfg = load_config(CONFIG, options, work_dir=tmp_path)
    assert cfg.model.encoder.backbone.code != CODE
    results = run_test(cfg, tmp_path / 'iter_1.pth', sheet=0)
    # the common resource model, which knows nothing of codes
    counted = count_model(
        {**load_config(CONFIG, {'model.encoder.backbone.code': CODE}).model, 'tasks': cfg.tasks},
        (64, 64),
    )
    assert (results['madds'], results['params']) == (counted['madds'], counted['params'])
