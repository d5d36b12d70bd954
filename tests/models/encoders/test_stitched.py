from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.models.encoders import (
    CrossStitchEncoder,
    MTANEncoder,
    NDDREncoder,
    SingleTaskEncoder,
)
from bmtas.registry import MODELS
from bmtas.resources import count_model, without_weights

MODELS_DIR = Path(__file__).parents[3] / 'configs' / '_base_' / 'models'


NAMES = ('a', 'b', 'c')


def tasks_of(*channels):
    kinds = {3: dict(kind='normals'), 1: dict(kind='mask')}
    entries = [kinds.get(n, dict(kind='classes', num_classes=n)) for n in channels]
    return [dict(entry, name=f't{i}') for i, entry in enumerate(entries)]


PASCAL = ('mobilenetv2', tasks_of(21, 7, 1, 3, 1), (512, 512))


NYUD = ('resnet50', tasks_of(40, 1, 3, 1), (425, 560))


@pytest.fixture(scope='module')
def backbone():
    torch.manual_seed(0)
    return LayeredBackbone('mobilenet_v2')


@pytest.fixture(scope='module')
def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 64, 64)


def same(a, b):
    return all(torch.equal(x, y) for name in a for x, y in zip(a[name], b[name]))


@pytest.mark.parametrize('setting', [PASCAL, NYUD], ids=lambda s: s[0])
@pytest.mark.parametrize(
    'kind, madds, params',
    [
        ('cross_stitch', (15.7296, 254.3604), None),
        ('nddr', (21.7743, 366.1573), (13.472, 250.624)),
        ('mtan', (9.4933, 600.0793), (4.434, 220.090)),
    ],
)
def test_published_cost(setting, kind, madds, params):
    arch, tasks, size = setting
    column = [PASCAL, NYUD].index(setting)
    cfg = Config.fromfile(MODELS_DIR / f'{arch}_{kind}.py').model
    counted = count_model(dict(cfg, tasks=tasks), size, 'paper')
    assert round(counted['madds'] / 1e9, 4) == madds[column]
    if params:
        assert round(counted['params'] / 1e6, 3) == params[column]


def test_bottleneck_variant_costs_what_later_code_costs():
    arch, tasks, size = NYUD
    cfg = Config.fromfile(MODELS_DIR / f'{arch}_mtan.py').model
    cfg.encoder.variant = 'bottleneck'
    assert round(count_model(dict(cfg, tasks=tasks), size, 'paper')['madds'] / 1e9, 1) == 252.7


@pytest.mark.parametrize('channelwise', [False, True])
def test_identity_stitch_is_three_single_networks(backbone, images, channelwise):
    single = SingleTaskEncoder(backbone, NAMES).eval()
    stitched = CrossStitchEncoder(
        backbone, NAMES, init_from=None, alpha=1.0, beta=0.0, channelwise=channelwise
    ).eval()
    for index, p in enumerate(single.parameters()):
        nn.init.normal_(p, mean=float(p.dim() == 1), std=0.1, generator=torch.manual_seed(index))
    missing = stitched.load_state_dict(single.state_dict(), strict=False)
    assert all(key.startswith('units.') for key in missing.missing_keys)
    expected = single(images, NAMES)
    assert same(stitched(images, NAMES), expected)
    # another order and a subset of the tasks do not change a task's features
    assert same(stitched(images, ('c', 'a')), {k: expected[k] for k in 'ca'})


def test_cross_stitch_unit_by_hand(backbone):
    unit = CrossStitchEncoder(backbone, NAMES, init_from=None).units[0]
    torch.testing.assert_close(unit.weight.sum(1), torch.ones(3))
    torch.testing.assert_close(unit.weight.diag(), torch.full((3,), 0.9))
    x = [torch.full((1, 2, 1, 1), value) for value in (1.0, 10.0, 100.0)]
    assert [y[0, 0].item() for y in unit(x)] == pytest.approx([6.4, 14.05, 90.55])


def test_nddr_unit_starts_as_weighted_sum(backbone):
    unit = NDDREncoder(backbone, NAMES, init_from=None).units[2].eval()
    x = [torch.rand(1, 24, 3, 3) for _ in NAMES]
    for task, y in enumerate(unit(x)):
        others = sum(x[s] for s in range(3) if s != task)
        torch.testing.assert_close(y, (0.9 * x[task] + 0.05 * others) / (1 + 1e-5) ** 0.5)
    assert unit.reduce[0][1].momentum == 0.05


def test_units_stand_after_the_stem_and_each_stage(backbone):
    encoder = NDDREncoder(backbone, NAMES, init_from=None)
    widths = [unit.reduce[0][0].out_channels for unit in encoder.units]
    assert widths == [32, 16, 24, 32, 64, 96, 160, 320]


@pytest.mark.parametrize('kind', [CrossStitchEncoder, NDDREncoder, MTANEncoder])
def test_gradients_reach_everything(backbone, images, kind):
    options = {} if kind is MTANEncoder else dict(init_from=None)
    encoder = kind(backbone, NAMES, **options).train()
    features = encoder(images, NAMES)
    torch.manual_seed(2)
    sum((x * torch.randn_like(x)).sum() for pair in features.values() for x in pair).backward()
    silent = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # a bias in front of a batch norm has no effect
    assert all(n.endswith('.bias') for n in silent if not n.startswith('units.'))
    assert not [n for n in silent if n.startswith('units.')]
    held = [id(p) for part in encoder.parts() for p in part.module.parameters()]
    assert sorted(held) == sorted(map(id, encoder.parameters()))


def test_stitched_networks_influence_each_other_and_mtan_tasks_do_not(backbone, images):
    """The gradient of one task's feature in another task's own parameters."""
    stitched = CrossStitchEncoder(backbone, NAMES, init_from=None).eval()
    stitched(images, ['a'])['a'][0].square().sum().backward()
    assert stitched.stems['b'][0].weight.grad.any()
    mtan = MTANEncoder(backbone, NAMES).eval()
    mtan(images, ['a'])['a'][0].square().sum().backward()
    own = [n for n, p in mtan.named_parameters() if p.grad is not None and 'attention' in n]
    assert own and all('.a.' in name for name in own)


def trained_single(tmp_path, tasks, cfg):
    model = MODELS.build(without_weights(dict(cfg, tasks=tasks)))
    for index, p in enumerate(model.parameters()):
        nn.init.normal_(p, std=0.05, generator=torch.manual_seed(index))
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'single.pth')
    return model.eval()


def test_start_from_trained_single_networks(tmp_path):
    tasks = tasks_of(5, 1)
    single = Config.fromfile(MODELS_DIR / 'mobilenetv2_single.py').model
    trained = trained_single(tmp_path, tasks, single)
    cfg = without_weights(Config.fromfile(MODELS_DIR / 'mobilenetv2_cross_stitch.py').model)
    cfg['encoder'] = dict(cfg['encoder'], init_from=str(tmp_path / 'single.pth'), alpha=1.0)
    model = MODELS.build(dict(cfg, tasks=tasks)).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = trained(image), model(image)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_faults_of_the_start_are_named(tmp_path, backbone):
    with pytest.raises(
        FileNotFoundError, match=r'init_from: checkpoint .*none.pth not found; train'
    ):
        NDDREncoder(backbone, NAMES, init_from=str(tmp_path / 'none.pth'))
    with pytest.raises(TypeError):
        NDDREncoder(backbone, NAMES)
    other = SingleTaskEncoder(backbone, ('a', 'b'))
    state = {f'encoder.{k}': v for k, v in other.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'two.pth')
    with pytest.raises(ValueError, match=r'two.pth has no weights encoder.stems.c.*of a, b, c'):
        CrossStitchEncoder(backbone, NAMES, init_from=str(tmp_path / 'two.pth'))
    (tmp_path / 'text.pth').write_text('no checkpoint')
    with pytest.raises(ValueError, match='text.pth cannot be loaded'):
        CrossStitchEncoder(backbone, NAMES, init_from=str(tmp_path / 'text.pth'))
    with pytest.raises(ValueError, match="unknown variant 'resnet', choose from"):
        MTANEncoder(backbone, NAMES, variant='resnet')
