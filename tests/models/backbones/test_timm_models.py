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


@pytest.mark.parametrize('arch', ['resnet18d', 'convnext_atto'])
def test_a_file_of_another_model_is_refused(tmp_path, arch):
    timm = pytest.importorskip('timm')
    whole, file = timm.create_model(arch).state_dict(), tmp_path / 'weights.pth'
    trunk = {key: v for key, v in whole.items() if not key.startswith(('fc.', 'head.fc.'))}
    other_classes = dict(whole, **{k: v[:7] for k, v in whole.items() if k not in trunk})
    for state in (whole, trunk, other_classes, dict(state_dict=trunk)):
        torch.save(state, file)
        LayeredBackbone(f'timm/{arch}', 32, str(file), aspp=False)
    first = next(iter(trunk))
    lacking = {key: v for key, v in trunk.items() if key != first}
    for state in ({'nonsense.weight': whole[first]}, lacking, dict(trunk, extra=whole[first])):
        torch.save(state, file)
        with pytest.raises(ValueError, match=f'timm/{arch} with weights=.*weights.pth'):
            LayeredBackbone(f'timm/{arch}', 32, str(file), aspp=False)
