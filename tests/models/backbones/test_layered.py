import pytest
import torch

from bmtas.models.backbones import LayeredBackbone


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def run(backbone, x, num_layers):
    x = backbone.copy_stem().eval()(x)
    for index in range(num_layers):
        x = backbone.copy_layer(index).eval()(x)
    return x


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
        (dict(arch='resnet18', low_level_index=9), 'low_level_index: must be 0 to 8, got 9'),
        (dict(arch='resnet18', weights='IMAGENET1K_V9'), 'IMAGENET1K_V9'),
    ],
)
def test_faulty_options(options, message):
    if options.get('arch', '').startswith('timm/'):
        pytest.importorskip('timm')
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        LayeredBackbone(**options)
    assert '\n' not in str(error.value)
