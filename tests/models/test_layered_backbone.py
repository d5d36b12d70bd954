"""Layers cut from torchvision against the whole models, their strides and their weights."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models._utils import IntermediateLayerGetter

from bmtas.models.backbones import LayeredBackbone, last_norm_name
from bmtas.models.backbones.candidates import strip_last_affine


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


def test_explicit_children_equal_the_recipe():
    torch.manual_seed(0)
    recipe = LayeredBackbone('resnet18', aspp=dict(channels=32))
    torch.manual_seed(0)
    named = LayeredBackbone(
        'resnet18',
        stem=['conv1', 'bn1', 'relu', 'maxpool'],
        layers=[f'layer{stage}.{index}' for stage in (1, 2, 3, 4) for index in (0, 1)],
        aspp=dict(channels=32),
    )
    assert named.layer_names == recipe.layer_names
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(run(named, x, 9), run(recipe, x, 9))


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


def test_dropout_of_the_context_module():
    with torch.device('meta'):
        backbone = LayeredBackbone('mobilenet_v2', aspp=dict(dropout=0.3))
        assert backbone.copy_layer(17).dropout.p == 0.3
        assert backbone.copy_layer(17, dropout=0.0).dropout.p == 0


def test_context_module_trains_on_a_single_image():
    layer = LayeredBackbone('mobilenet_v2').copy_layer(17)
    layer(torch.rand(1, 320, 4, 4)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(arch='resnet81'), "no classification model 'resnet81'; did you mean 'resnet18'"),
        (dict(arch='fcn_resnet50'), 'no classification model'),
        (dict(arch='alexnet'), 'no recipe for arch'),
        (dict(arch='convnext_tiny'), 'layer 15 cannot be dilated .* 16; set output_stride=32'),
        (dict(arch='swin_t', output_stride=8), 'cannot be dilated .* 8; set output_stride=32'),
        (dict(arch='timm/resnet18e', output_stride=8), "timm has no model 'resnet18e'; did you"),
        (dict(arch='timm/hrnet_w18_small'), 'is no chain of stages; take one'),
        (dict(arch='timm/resnet18', weights='none.pth'), 'weights file none.pth does not exist'),
        (dict(arch='resnet18', stem=['conv1']), 'given together'),
        (dict(arch='resnet18', stem=['conv1'], layers=['layer7']), "no child 'layer7'"),
        (dict(arch='resnet18', output_stride=2), 'output_stride 2'),
        (dict(arch='resnet18', output_stride=12), 'output_stride'),
        (dict(arch='resnet18', low_level_index=9), 'low_level_index 9'),
        (dict(arch='resnet18', weights='IMAGENET1K_V9'), 'IMAGENET1K_V9'),
    ],
)
def test_faulty_options(options, message):
    if options.get('arch', '').startswith('timm/'):
        pytest.importorskip('timm')
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        LayeredBackbone(**options)
    assert '\n' not in str(error.value)


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


@pytest.mark.parametrize('arch, width', [('resnet18', 0.5), ('vgg11', 0.0)])
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


@torch.no_grad()
@pytest.mark.parametrize('arch', ['resnet18d', 'mobilenetv3_small_050', 'convnext_atto'])
def test_timm_stages_are_its_features(tmp_path, arch):
    timm = pytest.importorskip('timm')
    torch.save(timm.create_model(arch).state_dict(), tmp_path / 'weights.pth')
    weights = str(tmp_path / 'weights.pth')
    backbone = LayeredBackbone(f'timm/{arch}', 32, weights, aspp=False)
    overlay = dict(file=weights)
    model = timm.create_model(
        arch, features_only=True, pretrained=True, pretrained_cfg_overlay=overlay
    ).eval()
    assert backbone.num_layers == 4 and backbone.strides == [4, 8, 16, 32]
    x = torch.rand(1, 3, 64, 96)
    features = model(x)
    torch.testing.assert_close(run(backbone, x, 4), features[-1])
    torch.testing.assert_close(run(backbone, x, backbone.low_level_index + 1), features[-4])


def test_timm_can_be_dilated():
    pytest.importorskip('timm')
    backbone = LayeredBackbone('timm/resnet18d', output_stride=16)
    assert run(backbone, torch.rand(2, 3, 64, 64), 5).shape == (2, 256, 4, 4)


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
