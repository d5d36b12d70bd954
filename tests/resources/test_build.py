"""The published figures, from the models of this package."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from bmtas.branching import BranchingTree, expected_cost
from bmtas.registry import MODELS
from bmtas.resources import count_model, count_table, without_weights

MODELS_DIR = Path(__file__).parents[2] / 'configs' / '_base_' / 'models'


def table_of(*channels):
    kinds = {3: dict(kind='normals'), 1: dict(kind='mask')}
    entries = [kinds.get(n, dict(kind='classes', num_classes=n)) for n in channels]
    return [dict(entry, name=f'task{i}') for i, entry in enumerate(entries)]


PASCAL = (table_of(21, 7, 1, 3, 1), (512, 512))
NYUD = (table_of(40, 1, 3, 1), (425, 560))
SETTINGS = [
    # arch, setting, paper convention: single, shared, separate; mac: single, shared; params
    ('mobilenetv2', PASCAL, (15.7296, 5.9863, 15.5073), (15.8544, 6.0312), (9.860, 2.152, 9.856)),
    (
        'resnet50',
        PASCAL,
        (345.6514, 154.5851, 343.1747),
        (345.8146, 154.6361),
        (201.742, 45.570, 201.704),
    ),
    (
        'resnet50',
        NYUD,
        (254.3604, 122.2425, 252.6699),
        (254.4803, 122.2851),
        (161.399, 44.269, 161.370),
    ),
    pytest.param(
        'mobilenetv2',
        NYUD,
        (11.6056, 4.8759, 11.4539),
        None,
        (7.891, 2.109, 7.888),
        marks=pytest.mark.slow,
    ),
]


def model_cfg(arch, kind='single'):
    return Config.fromfile(MODELS_DIR / f'{arch}_{kind}.py').model


@pytest.fixture(scope='module')
def tables():
    """Tables by (arch, number of tasks, convention), each counted once."""
    found = {}

    def get(arch, setting, convention):
        key = (arch, len(setting[0]), convention)
        if key not in found:
            cfg = dict(model_cfg(arch), tasks=setting[0])
            found[key] = count_table(cfg, setting[1], convention)
        return found[key]

    return get


def from_shapes(monkeypatch):
    """Let the counter that computes nothing stand behind tables, too."""
    monkeypatch.setattr('bmtas.resources.units.materialised', lambda module, xs: (module, *xs))


@pytest.mark.parametrize('convention', ['mac', 'paper'])
@pytest.mark.parametrize(
    'arch, setting',
    [('mobilenetv2', PASCAL), pytest.param('resnet50', NYUD, marks=pytest.mark.slow)],
)
def test_fvcore_and_torch_count_the_same(tables, monkeypatch, arch, setting, convention):
    expected = tables(arch, setting, convention)
    from_shapes(monkeypatch)
    cfg = dict(model_cfg(arch), tasks=setting[0])
    assert count_table(cfg, setting[1], convention) == expected


@pytest.mark.parametrize('arch, setting, paper, mac, params', SETTINGS)
def test_published_totals(tables, arch, setting, paper, mac, params):
    table = tables(arch, setting, 'paper')
    assert [round(x / 1e9, 4) for x in (table.single, table.shared, table.separate)] == list(paper)
    found = (table.params.single, table.params.shared, table.params.separate)
    assert [round(x / 1e6, 3) for x in found] == list(params)
    if mac:
        table = tables(arch, setting, 'mac')
        assert [round(x / 1e9, 4) for x in (table.single, table.shared)] == list(mac)


def test_exact_parameter_counts(tables):
    params = tables('mobilenetv2', PASCAL, 'paper').params
    assert (params.shared, params.separate, params.single) == (2151505, 9856465, 9860177)


@pytest.mark.parametrize(
    'kind, total, convention', [('single', 'single', 'paper'), ('shared', 'shared', 'mac')]
)
def test_whole_model_equals_the_table(tables, kind, total, convention):
    table = tables('mobilenetv2', PASCAL, convention)
    counted = count_model(
        dict(model_cfg('mobilenetv2', kind), tasks=PASCAL[0]), (512, 512), convention
    )
    assert counted['madds'] == getattr(table, total)
    assert counted['params'] == getattr(table.params, total)


def test_branched_model_costs_what_its_tree_costs(tables):
    cfg, names = model_cfg('mobilenetv2', 'branched'), [t['name'] for t in PASCAL[0]]
    routes = [[0] * 5] * 6 + [[0, 0, 1, 1, 1]] * 6 + [[0, 1, 2, 2, 3]] * 6
    tree = BranchingTree.from_routes(routes, tasks=names)
    cfg.encoder.routes = routes
    counted = count_model(dict(cfg, tasks=PASCAL[0]), (512, 512), 'paper')
    table = tables('mobilenetv2', PASCAL, 'paper')
    assert counted['madds'] == tree.cost(table) == table.total(tree.num_groups)
    assert counted['params'] == tree.cost(table.params)


VANILLA = [
    (
        'mobilenetv2',
        PASCAL,
        '15.51 15.30 14.71 14.18 13.87 13.64 13.41 13.26 13.04 12.83 12.62 12.35 11.88 11.41 '
        '10.79 9.50 8.21 6.29 5.99',
    ),
    (
        'resnet50',
        NYUD,
        '252.67 249.37 246.25 243.13 237.76 234.61 231.46 228.30 222.92 219.76 216.61 213.45 '
        '210.29 207.14 190.05 177.42 164.79 122.24',
    ),
    (
        'resnet50',
        PASCAL,
        '343.17 338.36 333.81 329.26 321.49 316.93 312.38 307.82 300.04 295.48 290.92 286.36 '
        '281.80 277.24 252.56 234.31 216.06 154.59',
    ),
]


@pytest.mark.parametrize('arch, setting, expected', VANILLA)
def test_costs_of_splitting_after_k_layers(tables, arch, setting, expected):
    table = tables(arch, setting, 'paper')
    num_layers, num_tasks = table.num_layers, len(setting[0])
    costs = [table.total([1] * k + [num_tasks] * (num_layers - k)) for k in range(num_layers + 1)]
    assert [f'{cost / 1e9:.2f}' for cost in costs] == expected.split()


@pytest.mark.parametrize(
    'arch, setting, paper_form, exact_form, same',
    [
        ('mobilenetv2', PASCAL, 11.7997, 11.7489, 4.7605),
        ('resnet50', PASCAL, 233.626, 233.203, 94.2948),
        ('resnet50', NYUD, 172.297, 171.991, 86.9516),
    ],
)
def test_expected_cost_at_alpha_zero(tables, arch, setting, paper_form, exact_form, same):
    table, tasks = tables(arch, setting, 'paper'), len(setting[0])
    alpha = torch.zeros(table.num_layers, tasks, tasks, dtype=torch.float64)
    costs = [c / 1e9 for c in table.layers]
    assert expected_cost(alpha, costs, 'paper').item() == pytest.approx(paper_form, abs=6e-4)
    assert expected_cost(alpha, costs, 'exact').item() == pytest.approx(exact_form, abs=6e-4)
    assert 2 * sum(costs) == pytest.approx(same, abs=6e-5)


def test_without_weights_forgets_files_of_the_encoder_only():
    loss = dict(type='CrossEntropyLoss', weights=[1.0, 2.0])
    model = dict(
        encoder=dict(type='A', init_from='a.pth', backbone=dict(weights='imagenet', arch='b')),
        tasks=dict(a=dict(kind='classes', loss=loss)),
        head=dict(weights=3),
        init_cfg=dict(checkpoint='c.pth'),
    )
    found = without_weights(model)
    assert found['encoder'] == dict(type='A', init_from=None, backbone=dict(weights=None, arch='b'))
    assert found['tasks'] == model['tasks'] and found['head'] == dict(weights=3)
    assert found['init_cfg'] is None and model['encoder']['init_from'] == 'a.pth'


def test_counting_a_model_leaves_it_as_it_was():
    cfg = without_weights(dict(model_cfg('mobilenetv2', 'supergraph'), tasks=PASCAL[0][:2]))
    model = MODELS.build(cfg).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        model.encoder.alpha[:, :, 1] = 1
        model.encoder.alpha[3:, 0, 0] = 2
    counted = count_model(model, (64, 64))
    tree = BranchingTree.from_routes(model.encoder.routes().tolist())
    table = count_table(cfg, (64, 64))
    assert counted['madds'] == table.total(tree.num_groups)
    assert model.training and all(
        torch.equal(v, before[k]) for k, v in model.state_dict().items() if k != 'encoder.alpha'
    )
