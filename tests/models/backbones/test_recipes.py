import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models._utils import IntermediateLayerGetter

from bmtas.models.backbones import LayeredBackbone


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def whole_model(arch, tmp_path, **kwargs):
    """A torchvision model with random norm statistics, and a file of its weights."""
    model = get_model(arch, weights=None, **kwargs)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    path = tmp_path / f'{arch}.pth'
    torch.save(model.state_dict(), path)
    return model.eval(), str(path)


def run(backbone, x, num_layers):
    x = backbone.copy_stem().eval()(x)
    for index in range(num_layers):
        x = backbone.copy_layer(index).eval()(x)
    return x


@torch.no_grad()
def test_mobilenetv2_at_stride_32_is_torchvisions(tmp_path):
    model, path = whole_model('mobilenet_v2', tmp_path)
    backbone = LayeredBackbone('mobilenet_v2', output_stride=32, weights=path)
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(run(backbone, x, 17), model.features[:-1](x))


@torch.no_grad()
@pytest.mark.parametrize(
    'stride, replace',
    [
        pytest.param(8, (False, True, True), marks=pytest.mark.slow),
        (16, (False, False, True)),
    ],
)
def test_resnet50_is_torchvisions_dilated_resnet(tmp_path, stride, replace):
    model, path = whole_model('resnet50', tmp_path, replace_stride_with_dilation=replace)
    backbone = LayeredBackbone('resnet50', output_stride=stride, weights=path)
    x = torch.rand(1, 3, 64, 64)
    expected = IntermediateLayerGetter(model, {'layer4': 'out'})(x)['out']
    assert expected.shape[-1] == 64 // stride
    assert torch.equal(run(backbone, x, 16), expected)


@torch.no_grad()
@pytest.mark.parametrize(
    'arch, children',
    [pytest.param('vgg11_bn', None, marks=pytest.mark.slow), ('mobilenet_v3_small', -1)],
)
def test_other_families_without_dilation_are_torchvisions(tmp_path, arch, children):
    model, path = whole_model(arch, tmp_path)
    # VGG ends with a pool at stride 32, the last convolution of MobileNetV3 is left out
    backbone = LayeredBackbone(arch, output_stride=32, weights=path)
    x = torch.rand(1, 3, 64, 64)
    expected = model.features(x) if arch.startswith('vgg') else model.features[:children](x)
    assert torch.allclose(run(backbone, x, backbone.num_layers - 1), expected, atol=1e-6)


@pytest.mark.parametrize(
    'arch, num_layers, low, stage_ends, branch_strides',
    [
        ('mobilenet_v2', 18, 2, [0, 2, 5, 9, 12, 15, 16], [3, 2, 2, 1, 1, 1] + 12 * [0]),
        ('resnet50', 17, 2, [2, 6, 12, 15], 3 * [2] + 4 * [1] + 10 * [0]),
        ('resnet18', 9, 1, [1, 3, 5, 7], [2, 2, 1, 1] + 5 * [0]),
        pytest.param(
            'resnet34', 17, 2, [2, 6, 12, 15], 3 * [2] + 4 * [1] + 10 * [0], marks=pytest.mark.slow
        ),
        pytest.param(
            'resnet101', 34, 2, [2, 6, 29, 32], 3 * [2] + 4 * [1] + 27 * [0], marks=pytest.mark.slow
        ),
        ('vgg11_bn', 8, 1, [0, 2, 6], [2, 2, 1, 1, 0, 0, 0, 0]),
        ('efficientnet_b0', 17, 2, None, None),
        pytest.param('mobilenet_v3_small', 12, 0, None, None, marks=pytest.mark.slow),
        ('regnet_y_400mf', 17, 0, [0, 3, 9, 15], None),
    ],
)
def test_recipes(arch, num_layers, low, stage_ends, branch_strides):
    with torch.device('meta'):
        backbone = LayeredBackbone(arch)
        assert backbone.num_layers == num_layers == len(backbone.layer_names)
        assert backbone.low_level_index == low
        assert stage_ends is None or backbone.stage_ends == stage_ends
        assert branch_strides is None or backbone.branch_strides == branch_strides
        x = torch.empty(2, 3, 96, 64)
        x = backbone.copy_stem()(x)
        assert x.shape[1] == backbone.stem_channels
        for index in range(num_layers):
            x = backbone.copy_layer(index)(x)
            stride = backbone.strides[index]
            assert x.shape == (2, backbone.out_channels[index], 96 // stride, 64 // stride)
    assert backbone.strides[-1] == 16


@torch.no_grad()
def test_dilation_keeps_what_stride_would_have_left_out(tmp_path):
    # on every second pixel, the dilated block sees what the block behind the stride sees
    _, path = whole_model('mobilenet_v2', tmp_path)
    x = torch.rand(1, 3, 64, 64)
    strided = run(LayeredBackbone('mobilenet_v2', 32, path), x, 15)
    dilated = run(LayeredBackbone('mobilenet_v2', 16, path), x, 15)
    assert torch.allclose(dilated[..., ::2, ::2], strided, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('arch', ['vgg11', 'vgg11_bn'])
def test_vgg_as_published_is_torchvisions_features(tmp_path, arch):
    model, path = whole_model(arch, tmp_path)
    backbone = LayeredBackbone(arch, output_stride=32, weights=path, aspp=False)
    assert backbone.num_layers == 7 and 'aspp' not in backbone.layer_names
    assert (backbone.out_channels[-1], backbone.strides[-1]) == (512, 32)
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(run(backbone, x, 7), model.features(x))
    parts = [backbone.copy_stem(), *map(backbone.copy_layer, range(7))]
    norms = 2 * 2752 if arch == 'vgg11_bn' else 0
    assert sum(p.numel() for part in parts for p in part.parameters()) == 9_220_480 + norms


@pytest.mark.parametrize('arch, channels', [('vgg11_bn', 128), ('mobilenet_v2', 80)])
def test_width_scales_the_channels(arch, channels):
    backbone = LayeredBackbone(arch, output_stride=32, aspp=False, width=0.25)
    assert backbone.out_channels[-1] == channels


@pytest.mark.parametrize('arch, width', [('resnet18', 0.5), ('vgg11', 0.0), ('conv4', 0.5)])
def test_other_widths_are_refused(arch, width):
    with pytest.raises(ValueError, match='width'):
        LayeredBackbone(arch, width=width)


@torch.no_grad()
@pytest.mark.parametrize(
    'arch, layers, stride',
    [('convnext_tiny', 18, 32), ('swin_t', 12, 32), ('densenet121', 58, 32)],
)
def test_families_whose_maps_differ_are_torchvisions(tmp_path, arch, layers, stride):
    model, path = whole_model(arch, tmp_path)
    backbone = LayeredBackbone(arch, output_stride=stride, weights=path, aspp=False)
    assert backbone.num_layers == layers and backbone.strides[-1] == stride
    assert backbone.strides[backbone.low_level_index] == 4
    x = torch.rand(1, 3, 64, 96)
    expected = model.features(x)
    if arch == 'swin_t':
        expected = expected.permute(0, 3, 1, 2)
    torch.testing.assert_close(run(backbone, x, layers), expected)


def test_densenet_can_be_dilated():
    backbone = LayeredBackbone('densenet121', output_stride=16, aspp=False)
    assert run(backbone, torch.rand(1, 3, 64, 96), 58).shape == (1, 1024, 4, 6)
