"""Channel groups found in the graph against the ties of the families, listed by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.task_routing import RoutedEncoder
from bmtas.task_routing.channels import Tracer
from bmtas.task_routing.plan import plan_channels
from bmtas.task_routing.units import Units, Value


def plan(arch, **options):
    backbone = LayeredBackbone(arch, **options)
    parts = [backbone.copy_stem(), *map(backbone.copy_layer, range(backbone.num_layers))]
    return plan_channels(backbone, parts)


def units(found, part, name):
    return found.units.roots(found.sites[part][name].outputs)


def test_vgg_has_a_group_for_every_convolution():
    found = plan('vgg11_bn', output_stride=32, aspp=False)
    assert list(found.widths.values()) == [64, 128, 256, 256, 512, 512, 512, 512]


def test_resnet_ties_what_its_residuals_add():
    found = plan('resnet18')
    # torchvision's ResNet-18: layers 0 and 1 are stage 1, 2 and 3 stage 2, ...
    stem = units(found, 0, 'bn1')
    assert np.array_equal(stem, units(found, 1, 'bn2'))
    assert np.array_equal(stem, units(found, 2, 'bn2'))
    for first in (3, 5, 7):
        shortcut = units(found, first, 'downsample.1')
        assert np.array_equal(shortcut, units(found, first, 'bn2'))
        assert np.array_equal(shortcut, units(found, first + 1, 'bn2'))
        assert not set(shortcut) & set(units(found, first, 'bn1'))
    # a group for each of 4 stages and for the inside of each of 8 blocks; ASPP has 6
    assert len(found.widths) == 4 + 8 + 6


def test_depthwise_and_squeeze_excite_follow_their_producer():
    found = plan('efficientnet_b0')
    expand, depthwise = units(found, 2, 'block.0.0'), units(found, 2, 'block.1.0')
    assert np.array_equal(expand, depthwise)
    assert np.array_equal(expand, units(found, 2, 'block.2.fc2'))
    assert len(units(found, 2, 'block.2.fc1')) == 4
    assert found.widths['layers.1.block.2.fc1'] == 4


def test_mobilenet_ties_projections_that_residuals_join():
    found = plan('mobilenet_v2')
    # layers 1 and 2 have 24 channels, 3 to 5 have 32
    assert np.array_equal(units(found, 2, 'conv.3'), units(found, 3, 'conv.3'))
    for layer in (4, 5):
        assert np.array_equal(units(found, layer, 'conv.3'), units(found, layer + 1, 'conv.3'))
    assert not set(units(found, 3, 'conv.3')) & set(units(found, 4, 'conv.3'))


def test_concatenated_channels_are_listed_in_order():
    found = plan('resnet18')
    names = [f'branches.{i}.norm' for i in range(5)]
    branches = np.concatenate([units(found, 9, name) for name in names])
    inputs = found.units.roots(found.sites[9]['project.conv'].inputs)
    assert np.array_equal(branches, inputs)


class Joined(nn.Module):
    """A product of two convolutions, flattened into a linear layer."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.linear = nn.Linear(16, 2)

    def forward(self, x):
        return self.linear((self.a(x) * self.b(x).sigmoid()).relu().flatten(1))


class Unknown(nn.Module):
    """Shuffles its channels."""

    def __init__(self):
        super().__init__()
        self.conv, self.shuffle = nn.Conv2d(3, 4, 1), nn.ChannelShuffle(2)

    def forward(self, x):
        return self.shuffle(self.conv(x))


def trace(module, size=2):
    found = Units()
    image = Value(found.open('image', 3, False), 1)
    return found, *Tracer(found).trace(module.eval(), [torch.zeros(1, 3, size, size)], [image])


def test_products_unite_and_flattening_repeats():
    found, sites, _, _ = trace(Joined())
    assert np.array_equal(found.roots(sites['b'].outputs), sites['a'].outputs)
    assert np.array_equal(sites['linear'].inputs, np.repeat(sites['a'].outputs, 4))
    assert sites['linear'].exact
    assert set(found.groups()) == {'a', 'linear'}


def test_a_sigmoid_in_front_of_a_convolution_is_not_exact():
    _, sites, _, _ = trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 2, 1)))
    assert sites['0'].exact and not sites['2'].exact


def test_an_operator_that_cannot_be_followed_is_named():
    with pytest.raises(ValueError, match="^shuffle: channels cannot be followed through '.*shuf"):
        trace(Unknown())


class Gated(nn.Module):
    """Weighs its channels by a function of them."""

    def __init__(self, gate):
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 4, 1), gate

    def forward(self, x):
        x = self.conv(x).relu()
        return x * self.gate(x)


@pytest.mark.parametrize(
    'name, gate',
    [
        ('mean', lambda x: x.mean(1, keepdim=True)),
        ('mean', lambda x: x.mean()),
        ('softmax', lambda x: x.softmax(-3)),
        ('pad', lambda x: nn.functional.pad(x, (0, 0, 0, 0, 1, 1))[:, 1:-1]),
    ],
)
def test_what_mixes_channels_is_refused(name, gate):
    """Masked ones would count: the compact network would compute something else."""
    with pytest.raises(ValueError, match=f"channels are mixed by '{name}'"):
        trace(Gated(gate))


@pytest.mark.parametrize(
    'gate',
    [
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: x.softmax(-1),
        lambda x: nn.functional.adaptive_max_pool2d(x, 1),
        lambda x: nn.functional.pad(x, (1, 1))[..., 1:-1],
    ],
)
def test_what_works_on_each_channel_keeps_it(gate):
    found, sites, values, _ = trace(Gated(gate), 4)
    assert np.array_equal(found.roots(values[0].units), sites['conv'].outputs)


@pytest.mark.parametrize('value, exact', [(0.0, True), (1.0, False)])
def test_a_border_of_another_value_than_zero_is_not_exact(value, exact):
    layers = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.ConstantPad2d(1, value), nn.Conv2d(4, 2, 1)
    assert trace(nn.Sequential(*layers))[1]['3'].exact == exact


def test_parts_in_front_of_first_layer_stay_whole():
    encoder = RoutedEncoder(LayeredBackbone('vgg11'), ('a', 'b'), keep_ratio=0.25, first_layer=3)
    kept = encoder.plan.spread(encoder.masks)
    for part, sites in enumerate(encoder.plan.sites):
        share = np.mean([kept[:, site.outputs].mean() for site in sites.values()])
        assert share == (1 if part < 3 else 0.25)
    with pytest.raises(ValueError, match=r'first_layer: must lie in 0 \.\.\. 8'):
        RoutedEncoder(LayeredBackbone('vgg11'), ('a', 'b'), first_layer=9)
