"""Encoders that the package does not know: every tool takes them, no backbone class is asked."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bmtas import apis
from bmtas.cli import export, infer, resources, search, test, train
from bmtas.cli.base import run_tool
from bmtas.engine.config import load_config
from bmtas.registry import MODELS
from bmtas.resources import count_model, table_from_cfg, without_weights

SHIPPED = Path(__file__).resolve().parents[2] / 'configs'
MODULE = '''
from torch import nn
from torchvision.models import resnet18
from torchvision.models._utils import IntermediateLayerGetter

from bmtas.branching import BranchingTree
from bmtas.models.encoders import STEM, Encoder
from bmtas.registry import MODELS


@MODELS.register_module(force=True)
class TwoExits(Encoder):
    """A whole trunk, shared by all; an extra loss keeps its deep feature small."""

    def __init__(self, tasks, width=128):
        super().__init__(tasks, width, 64)
        exits = {'layer1': 'low', 'layer2': 'deep'}
        self.trunk = IntermediateLayerGetter(resnet18(), exits)
        self.width = width

    def forward(self, images, tasks):
        found = self.trunk(images)
        if self.training:
            self.size = found['deep'].square().mean()
        return dict.fromkeys(tasks, (found['deep'], found['low']))

    def parts(self):
        return [self.part('trunk', None, self.tasks)]

    def extra_losses(self):
        return dict(size=0.01 * self.size)

    def checkpoint_state(self):
        return dict(width=self.width)


@MODELS.register_module(force=True)
class TwoBranches(Encoder):
    """The first two stages of a ResNet-18, each once for every group of a tree."""

    takes_tree = True

    def __init__(self, tasks, routes=None):
        super().__init__(tasks, 128, 64, ('one', 'two'))
        if isinstance(routes, str):
            self.tree = getattr(BranchingTree, routes)(2, self.tasks, self.layer_names)
        else:
            self.tree = BranchingTree.from_routes(routes, self.tasks, self.layer_names)
        net = resnet18()
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        stages = ('layer1', 'layer2')
        self.stages = nn.ModuleList(
            nn.ModuleList(getattr(resnet18(), name) for _ in groups)
            for name, groups in zip(stages, self.tree.groups)
        )

    def forward(self, images, tasks):
        current = dict.fromkeys(tasks, self.stem(images))
        outputs = []
        for copies, groups in zip(self.stages, self.tree.groups):
            wanted = [(copy, [t for t in g if t in tasks]) for copy, g in zip(copies, groups)]
            done = [(copy(current[group[0]]), group) for copy, group in wanted if group]
            current = {task: y for y, group in done for task in group}
            outputs.append(current)
        return {task: (outputs[1][task], outputs[0][task]) for task in tasks}

    def parts(self):
        copies = [
            self.part(f'stages.{layer}.{k}', layer, group)
            for layer, groups in enumerate(self.tree.groups)
            for k, group in enumerate(groups)
        ]
        return [self.part('stem', STEM, self.tasks), *copies]

    def checkpoint_state(self):
        return dict(routes=self.tree.routes.tolist())

    @classmethod
    def config_of_tree(cls, cfg, routes):
        return dict(cfg, routes=routes)
'''
CONFIG = """
custom_imports = dict(imports=['own_encoders'])
model = dict(encoder=dict(_delete_=True, type='{type}'), head=dict(low_proj=8, width=8))
_plain = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dict(length=4, antialias=1), **_plain)
val_dataloader = dict(dataset=dict(length=3, antialias=1), **_plain)
test_dataloader = dict(dataset=dict(length=2, antialias=1), **_plain)
train_cfg = dict(max_iters=2)
{extra}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """``config('shared', 'TwoExits')`` -> path of a tiny config with an encoder of its own."""
    (tmp_path / 'own_encoders.py').write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def write(method, encoder, extra=''):
        path = tmp_path / f'{method}_{encoder}.py'
        base = f"_base_ = ['{SHIPPED / method / 'mobilenetv2_shapescenes.py'}']\n"
        path.write_text(base + CONFIG.format(type=encoder, extra=extra))
        return path

    return write


def run(tool, *argv):
    assert run_tool(tool.main, [str(word) for word in argv]) == 0


def test_all_tools_take_a_trunk_with_two_exits(config, tmp_path, capsys):
    path, work, out = config('shared', 'TwoExits'), tmp_path / 'run', tmp_path / 'out'
    run(train, path, '--work-dir', work)
    checkpoint = work / 'iter_2.pth'
    log = next(work.glob('*/*.log')).read_text()
    assert ' + size 0.0' in log
    content = torch.load(checkpoint, weights_only=True)
    assert content['encoder'] == dict(width=128)
    # the trunk trains at the rate divided by the number of tasks
    cfg = load_config(path)
    rates = {group['initial_lr'] for group in content['optimizer']['param_groups']}
    assert len(rates) == 2 and max(rates) == pytest.approx(len(cfg.tasks) * min(rates))
    run(test, path, checkpoint, '--work-dir', work, '--sheet', 0)
    results = json.loads((work / 'results.json').read_text())
    counted = count_model(dict(cfg.model, tasks=cfg.tasks), cfg.input_size)
    assert (results['madds'], results['branching']) == (counted['madds'], None)
    capsys.readouterr()
    run(resources, path, '--json')
    report = json.loads(capsys.readouterr().out)
    assert report['total'] == counted['madds'] and report['layers'] == []
    assert report['other'] == counted['madds'] - sum(report['heads'].values())
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / 'image.png')
    run(infer, path, checkpoint, tmp_path / 'image.png', '--out-dir', out)
    assert any(out.rglob('*.png'))
    run(export, path, checkpoint, '--format', 'torch-export', '--out', out / 'net.pt2')
    assert (out / 'net.pt2').is_file()


def test_searches_that_cannot_take_it_say_so(config, tmp_path, capsys):
    wanted = {'bmtas': 'needs a SupergraphEncoder, not TwoExits', 'vanilla': 'takes no branching'}
    for method, text in wanted.items():
        path = config(method, 'TwoExits')
        assert run_tool(search.main, [str(path), '--work-dir', str(tmp_path / method)]) == 2
        error = capsys.readouterr().err.strip().split('\n')
        assert len(error) == 1 and text in error[0]


def test_a_tree_is_found_trained_and_tested_for_layers_of_ones_own(config, tmp_path):
    work = tmp_path / 'run'
    one_shared = "search = dict(_delete_=True, type='VanillaSearch', num_shared=1)"
    vanilla = config('vanilla', 'TwoBranches', one_shared)
    run(search, vanilla, '--work-dir', work / 'search')
    found = work / 'search' / 'branching.json'
    tasks = len(load_config(vanilla).tasks)
    assert json.loads(found.read_text())['config'] == [[0] * tasks, list(range(tasks))]
    path = config('branched', 'TwoBranches')
    run(train, path, '--branching', found, '--work-dir', work)
    run(test, path, work / 'iter_2.pth', '--work-dir', work, '--sheet', 0)
    results = json.loads((work / 'results.json').read_text())
    table = table_from_cfg(load_config(path))
    assert table.layer_names == ('one', 'two')
    assert results['madds'] == table.total([1, tasks])
    assert results['params'] == table.params.total([1, tasks])


def test_affinities_are_those_of_ones_own_encoder(config, tmp_path, capsys):
    """FAFS reads the trained shared network of the config's encoder, whatever its class."""
    path, work = config('branched', 'TwoBranches'), tmp_path / 'shared'
    cfg = load_config(path)
    model = MODELS.build(
        dict(cfg.model, tasks=cfg.tasks, encoder=dict(type='TwoBranches', routes='shared'))
    )
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'shared.pth')
    fafs = (
        "search = dict(_delete_=True, type='FAFSSearch', checkpoint={!r}, alphas=(0.1, 1, 3), "
        "branch_cost='{}', split='val')\nbudget = {}"
    )
    table = table_from_cfg(cfg)
    checkpoint = str(tmp_path / 'shared.pth')
    path = config('vanilla', 'TwoBranches', fafs.format(checkpoint, 'resource', table.separate))
    run(search, path, '--work-dir', work)
    assert len(json.loads((work / 'branching.json').read_text())['config']) == 2
    path = config('vanilla', 'TwoBranches', fafs.format(checkpoint, 'strides', table.separate))
    assert run_tool(search.main, [str(path), '--work-dir', str(tmp_path / 'strides')]) == 2
    error = capsys.readouterr().err
    assert "has no branch_strides; use search.branch_cost='resource'" in error


def test_a_saved_network_of_an_own_encoder_needs_its_module_imported(config, tmp_path, monkeypatch):
    cfg = load_config(config('shared', 'TwoExits'))
    model = MODELS.build(without_weights(cfg.model))
    folder = apis.save(tmp_path / 'kept', cfg, model)
    monkeypatch.delitem(sys.modules, 'own_encoders')
    with pytest.raises(ValueError, match='custom_imports own_encoders.*import this one in Python'):
        apis.load(folder)
    assert 'own_encoders' not in sys.modules
    monkeypatch.setitem(sys.modules, 'own_encoders', object())
    loaded = apis.load(folder, device='cpu')[1]
    assert all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))
