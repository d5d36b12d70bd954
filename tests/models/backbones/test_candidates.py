import pytest
import torch
from torch import nn

from bmtas.models.backbones import LayeredBackbone, last_norm_name
from bmtas.models.backbones.candidates import strip_last_affine


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_copies_start_equal_and_live_apart():
    backbone = LayeredBackbone('mobilenet_v2')
    for index in (3, 17):
        first, second = backbone.copy_layer(index), backbone.copy_layer(index)
        for a, b in zip(first.parameters(), second.parameters()):
            assert torch.equal(a, b) and a.data_ptr() != b.data_ptr()


@pytest.mark.parametrize(
    'arch, index, name',
    [
        ('mobilenet_v2', 5, 'conv.3'),
        ('mobilenet_v2', 17, 'project.norm'),
        ('resnet50', 0, 'bn3'),
        ('resnet18', 2, 'bn2'),
        ('regnet_y_400mf', 0, 'f.c.1'),
        ('vgg11_bn', 3, 'features_16'),
        ('vgg11', 3, None),
        # weights follow the norm: its scale is not the output's
        ('convnext_tiny', 1, None),
        ('swin_t', 1, None),
        ('densenet121', 4, None),
        # the norm behind the last dense block
        ('densenet121', 57, 'features_norm5'),
        ('timm/resnet18d', 1, '1.bn2'),
    ],
)
def test_last_norm_loses_its_affine(arch, index, name):
    if arch.startswith('timm/'):
        pytest.importorskip('timm')
    with torch.device('meta'):
        backbone = LayeredBackbone(arch, output_stride=32)
        plain, stripped = backbone.copy_layer(index), backbone.copy_layer(index, last_affine=False)
    assert last_norm_name(plain) == name
    lost = set(plain.state_dict()) - set(stripped.state_dict())
    assert lost == (set() if name is None else {f'{name}.weight', f'{name}.bias'})


@pytest.mark.parametrize('arch', ['swin_t', 'convnext_tiny', 'efficientnet_b0', 'densenet121'])
def test_nothing_of_a_candidate_is_random(arch):
    options = {} if arch.startswith('eff') else dict(output_stride=32)
    backbone = LayeredBackbone(arch, **options)
    for layer in backbone._layers[:-1]:
        for module in layer.modules():
            # as if the family dropped at every place that it can
            for name in ('p', 'drop_rate', 'dropout', 'attention_dropout'):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.5)
    x = torch.rand(16, backbone.out_channels[1], 8, 8)
    loud, calm = (backbone.copy_layer(2, dropout=rate).train() for rate in (None, 0.0))
    assert torch.equal(calm(x), calm(x)) and not torch.equal(loud(x), loud(x))


def test_randomness_that_cannot_be_switched_off_is_named():
    backbone = LayeredBackbone('resnet18', aspp=False)

    class Noise(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    backbone._layers[1] = nn.Sequential(backbone._layers[1], Noise())
    with pytest.raises(ValueError, match='dropout of layer layer1.1 cannot be switched off'):
        backbone.copy_layer(1, dropout=0.0)
    backbone.copy_layer(1)


@pytest.mark.parametrize(
    'norm', [nn.BatchNorm2d(6), nn.GroupNorm(2, 6), nn.InstanceNorm2d(6, affine=True)]
)
def test_every_kind_of_norm_loses_scale_and_shift(norm):
    layer = nn.Sequential(nn.Conv2d(3, 6, 1), norm, nn.ReLU())
    nn.init.constant_(norm.weight, 3)
    nn.init.constant_(norm.bias, 2)
    x = torch.rand(4, 3, 5, 5)
    before = layer[1](layer[0](x))
    strip_last_affine(layer)
    torch.testing.assert_close(before, 3 * layer[1](layer[0](x)) + 2)
    assert [name for name, _ in layer.named_parameters()] == ['0.weight', '0.bias']
