"""Exported programs compute what the network computes."""

import importlib.util

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from bmtas.apis import load_model, predict
from bmtas.apis.deploy import Deployed, _compare, export
from bmtas.apis.eight_bits import data_of, to_eight_bits
from bmtas.engine.config import load_config
from bmtas.tasks import TaskMaps

ONNX = all(importlib.util.find_spec(name) for name in ('onnx', 'onnxscript'))


@pytest.fixture
def model(network):
    return load_model(network.config, network.checkpoint, device='cpu')[1]


def test_torch_export_reads_back_and_agrees(model, network, tmp_path):
    path = tmp_path / 'sub' / 'net.pt2'
    differences = export(model, path, 'torch-export', (64, 96))
    assert list(differences) == network.names and max(differences.values()) < 1e-3
    program = torch.export.load(path).module()
    image = torch.randint(0, 256, (3, 64, 96)).float()
    expected = predict(network.model, image)
    for name, found in zip(network.names, program(image[None])):
        torch.testing.assert_close(found[0], expected[name], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not ONNX, reason='onnx and onnxscript are not installed')
def test_onnx_agrees(model, network, tmp_path):
    differences = export(model, tmp_path / 'net.onnx', 'onnx', (64, 64))
    assert list(differences) == network.names


@pytest.mark.skipif(ONNX, reason='onnx is installed')
def test_onnx_names_the_extra(model, tmp_path):
    with pytest.raises(ValueError, match=r"pip install '.\[export\]'"):
        export(model, tmp_path / 'net.onnx', 'onnx', (64, 64))
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
        export(model, tmp_path / 'x', 'tflite', (64, 64))


def test_eight_bits_need_images_of_both_splits(network, tmp_path):
    cfg = load_config(network.config, {'test_dataloader': None})
    with pytest.raises(ValueError, match='test_dataloader: missing'):
        to_eight_bits(tmp_path / 'net.onnx', cfg, 2)


@pytest.mark.slow
@pytest.mark.skipif(not ONNX, reason='onnx and onnxscript are not installed')
def test_int8_and_sizes_that_vary(model, network, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    path = tmp_path / 'net.onnx'
    assert max(export(model, path, 'onnx', (64, 64), dynamic=True).values()) < 1e-3
    image = torch.randint(0, 256, (3, 45, 70)).float()
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    found = session.run(None, {'images': image[None].numpy()})
    for name, values in zip(network.names, found):
        expected = predict(network.model, image)[name].numpy()
        np.testing.assert_allclose(values[0], expected, rtol=1e-3, atol=1e-3)
    cfg = load_config(
        network.config, {f'{s}_dataloader.dataset.length': 4 for s in ('train', 'test')}
    )
    small, before, after = to_eight_bits(path, cfg, 4)
    assert small == tmp_path / 'net.int8.onnx'
    assert small.stat().st_size < 0.6 * path.stat().st_size
    assert list(before) == network.names
    # the scores of the exported file are those of the network itself
    evaluator = Evaluator([dict(metric) for metric in cfg.test_evaluator])
    for item in data_of(cfg, 'test', 4):
        item['data_samples'].predictions = TaskMaps(predict(network.model, item['inputs']))
        evaluator.process(data_samples=[item['data_samples']], data_batch=None)
    metrics = evaluator.evaluate(4)
    for task in network.model.tasks:
        expected = metrics[f'{task.name}/{task.score}']
        assert before[task.name] == pytest.approx(expected, rel=1e-3, abs=1e-3)
        assert after[task.name] == pytest.approx(expected, rel=0.5, abs=5)
