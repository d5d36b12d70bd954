"""Exported programs compute what the network computes."""

import importlib.util

import pytest
import torch

from bmtas.apis.deploy import Deployed, _compare, export_model
from bmtas.apis.inference import load_model, predict

ONNX = all(importlib.util.find_spec(name) for name in ('onnx', 'onnxscript'))


@pytest.fixture
def model(network):
    return load_model(network.config, network.checkpoint, device='cpu')[1]


def test_torch_export_reads_back_and_agrees(model, network, tmp_path):
    path = tmp_path / 'sub' / 'net.pt2'
    differences = export_model(model, path, 'torch-export', (64, 96))
    assert list(differences) == network.names and max(differences.values()) < 1e-3
    program = torch.export.load(path).module()
    image = torch.randint(0, 256, (3, 64, 96)).float()
    expected = predict(network.model, image)
    for name, found in zip(network.names, program(image[None])):
        torch.testing.assert_close(found[0], expected[name], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not ONNX, reason='onnx and onnxscript are not installed')
def test_onnx_agrees(model, network, tmp_path):
    differences = export_model(model, tmp_path / 'net.onnx', 'onnx', (64, 64))
    assert list(differences) == network.names


@pytest.mark.skipif(ONNX, reason='onnx is installed')
def test_onnx_names_the_extra(model, tmp_path):
    with pytest.raises(ValueError, match=r"pip install 'bmtas\[export\]'"):
        export_model(model, tmp_path / 'net.onnx', 'onnx', (64, 64))
    assert not list(tmp_path.iterdir())


def test_another_function_is_noticed(model, tmp_path):
    network = Deployed(model)
    with torch.no_grad():
        expected = network(torch.zeros(1, 3, 32, 32))
    found = [out.clone() for out in expected]
    found[-1] += 0.1
    with pytest.raises(ValueError, match=f'differs from the original in {network.names[-1]}'):
        _compare(network, expected, found, tmp_path / 'x')
    found[-1] = found[-1][..., :16]
    with pytest.raises(ValueError, match='not'):
        _compare(network, expected, found, tmp_path / 'x')


def test_unknown_format(model, tmp_path):
    with pytest.raises(ValueError, match='tflite'):
        export_model(model, tmp_path / 'x', 'tflite', (64, 64))
