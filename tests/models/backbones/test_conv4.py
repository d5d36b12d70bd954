"""The small network and its linear head, against the one of the benchmark of trees."""

import sys
from pathlib import Path

import pytest
import torch

from bmtas.branching import BranchingTree
from bmtas.engine import load_config
from bmtas.models.backbones import LayeredBackbone
from bmtas.models.heads import PixelShuffleHead
from bmtas.registry import MODELS
from bmtas.resources import count_model

ROOT = Path(__file__).resolve().parents[3]
ROUTES = [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 2, 1], [0, 1, 2, 3]]


@pytest.fixture
def scenes(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks' / 'trees'))
    import scenes

    yield scenes
    sys.modules.pop('scenes')


@pytest.fixture
def model():
    cfg = load_config(ROOT / 'configs' / 'branched' / 'conv4_shapescenes.py')
    cfg.model.encoder.routes = ROUTES
    return MODELS.build(dict(cfg.model, tasks=cfg.tasks))


def test_it_is_the_network_of_the_table_of_trees(scenes, model):
    theirs = scenes.Network(BranchingTree.from_routes(ROUTES, tuple(scenes.TASKS)), seed=3)
    state = {}
    for name, value in theirs.state_dict().items():
        part, *rest = name.split('.')
        owner = dict(stem='encoder.stem', stages='encoder.layers', heads='heads')[part]
        state['.'.join([owner, *rest])] = value
    # conv, norm, and an activation without a state
    model.load_state_dict(state, strict=True)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected, found = theirs(images), model(images, mode='tensor')
    assert list(found) == list(expected)
    for task, logits in expected.items():
        torch.testing.assert_close(found[task], logits)


def test_it_costs_what_the_table_says(scenes, model):
    stem, layers, heads = scenes.costs()
    tree = BranchingTree.from_routes(ROUTES)
    expected = stem + sum(c * n for c, n in zip(layers, tree.num_groups)) + heads
    assert count_model(model, (32, 32))['madds'] == expected


def test_sizes_that_no_stride_divides(model):
    logits = model(torch.rand(2, 3, 37, 30), mode='tensor')
    assert {tuple(x.shape[-2:]) for x in logits.values()} == {(37, 30)}


@pytest.mark.parametrize('weights', ['imagenet', 'IMAGENET1K_V1'])
def test_there_are_no_weights_of_it(weights):
    with pytest.raises((ValueError, FileNotFoundError), match='backbone: .*weights'):
        LayeredBackbone('conv4', output_stride=4, aspp=False, weights=weights)


def test_cells_against_the_strides_are_one_line():
    head = PixelShuffleHead(8, 4, 3, deep_cells=2)
    with pytest.raises(ValueError, match='deep_cells 2 and low_cells 2 give.*set model.head'):
        head(torch.rand(1, 8, 8, 8), torch.rand(1, 4, 16, 16))
