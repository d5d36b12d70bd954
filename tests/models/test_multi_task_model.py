"""The whole model: modes, missing labels, mixed precision, clear errors."""

import warnings
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_model import ENCODERS, NAMES, SIZE, TASKS, build, raw_batch, sample
from torch import nn

from bmtas.models import MultiTaskModel
from bmtas.models.encoders import STEM
from bmtas.registry import MODELS
from bmtas.tasks import MultiTaskSample, TaskMaps

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('encoder', ENCODERS)
def test_modes(encoder):
    model = build(encoder)
    assert isinstance(model, MultiTaskModel) and [t.name for t in model.tasks] == NAMES
    data = model.data_preprocessor(raw_batch(sample(0), sample(1)), True)
    losses = model(**data, mode='loss')
    assert list(losses) == [f'loss_{name}' for name in NAMES]
    model.parse_losses(losses)[0].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    model.eval()
    logits = model(data['inputs'])
    channels = dict(semseg=5, sal=1, depth=1, normals=3)
    assert {k: tuple(v.shape) for k, v in logits.items()} == {
        name: (2, c, *SIZE) for name, c in channels.items()
    }
    found = model(**data, mode='predict')[1].predictions
    assert torch.equal(found['semseg'], logits['semseg'][1].argmax(0))
    assert torch.equal(found['sal'], logits['sal'][1, 0].sigmoid())
    assert torch.equal(found['depth'], logits['depth'][1, 0])
    assert torch.allclose(found['normals'].norm(dim=0), torch.ones(SIZE))
    cosine = nn.functional.cosine_similarity(found['normals'], logits['normals'][1], dim=0)
    assert torch.allclose(cosine, torch.ones(SIZE))


@pytest.mark.parametrize('encoder', ENCODERS)
def test_subset_of_tasks_gives_the_same(encoder):
    model = build(encoder).eval()
    images = torch.rand(1, 3, *SIZE)
    whole, part = model(images), model(images, tasks=['depth', 'semseg'])
    assert list(part) == ['depth', 'semseg']
    assert all(torch.equal(part[name], whole[name]) for name in part)


def test_predictions_at_the_size_of_the_labels():
    model = build().eval()
    inputs = torch.rand(2, 3, *SIZE)
    samples = [MultiTaskSample(metainfo=dict(predict_at=(64, 96))), MultiTaskSample()]
    with torch.no_grad():
        first, second = model(inputs, samples, mode='predict')
        plain = model(inputs, None, mode='predict')
    assert first.predictions['semseg'].shape == (64, 96)
    assert first.predictions['normals'].shape == (3, 64, 96)
    lengths = first.predictions['normals'].norm(dim=0)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    # bilinear with aligned pixel centres: the mean of 2 x 2 pixels is a mean of 3 x 3 of the small
    depth, small = first.predictions['depth'], plain[0].predictions['depth']
    block = depth[2:4, 2:4].mean()
    weights = torch.tensor([1.0, 6.0, 1.0]) / 8
    torch.testing.assert_close(block, weights @ small[:3, :3] @ weights)
    for name in NAMES:
        assert second.predictions[name].equal(plain[1].predictions[name])


def test_losses_are_weighted():
    model = build().eval()
    data = model.data_preprocessor(raw_batch(sample(0)))
    logits = model(data['inputs'])
    loss = model(**data, mode='loss')['loss_sal']
    plain = model.losses['sal'](logits['sal'], data['data_samples'][0].labels['sal'][None])
    assert torch.allclose(loss, 5 * plain)


def test_sample_without_a_label_is_left_out():
    model = build().eval()
    both = model.data_preprocessor(raw_batch(sample(0), sample(1, keys=('sal',))))
    first = model.data_preprocessor(raw_batch(sample(0)))
    losses, expected = model(**both, mode='loss'), model(**first, mode='loss')
    for name in ('semseg', 'depth', 'normals'):
        assert torch.allclose(losses[f'loss_{name}'], expected[f'loss_{name}'], atol=1e-6)
    assert not torch.allclose(losses['loss_sal'], expected['loss_sal'], atol=1e-6)


@pytest.mark.parametrize('amp', [False, True])
def test_batch_without_any_label(amp):
    model = build()
    data = model.data_preprocessor(raw_batch(sample(0, keys=()), sample(1, keys=())), True)
    with torch.autocast('cpu', torch.bfloat16, enabled=amp):
        total, _ = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    assert total.item() == 0
    for parameter in model.parameters():
        assert torch.equal(parameter.grad, torch.zeros_like(parameter))


@pytest.mark.parametrize('encoder', ENCODERS)
def test_bfloat16_is_near_float32(encoder):
    model = build(encoder)
    routing = {}
    if encoder == 'supergraph':
        model.encoder.alpha.data.normal_()
        routing = dict(weights=model.encoder.sample_weights(1.0))
    data = model.data_preprocessor(raw_batch(sample(0), sample(1)), True)
    plain = model(**data, mode='loss', **routing)
    with warnings.catch_warnings(), torch.autocast('cpu', torch.bfloat16):
        warnings.simplefilter('error')
        mixed = model(**data, mode='loss', **routing)
        model.parse_losses(mixed)[0].backward()
    for key, value in mixed.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(plain[key].item(), rel=0.05)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_memory_format_changes_no_result():
    first, second = (build(channels_last=flag).eval() for flag in (True, False))
    images = torch.rand(1, 3, *SIZE)
    conv = first.heads['semseg'].fuse[0].pointwise.conv.weight
    assert conv.is_contiguous(memory_format=torch.channels_last)
    for name, logits in first(images).items():
        assert torch.allclose(logits, second(images)[name], atol=1e-6)


def test_initial_weights_survive_the_runner():
    model = build()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize('encoder', ENCODERS)
def test_parts_hold_every_parameter_once(encoder):
    encoder = build(encoder).encoder
    parts = encoder.parts()
    covered = [id(p) for part in parts for p in part.module.parameters()]
    logits = [id(encoder.alpha)] if encoder.searchable else []
    assert sorted(covered + logits) == sorted(map(id, encoder.parameters()))
    assert all(encoder.get_submodule(part.name) is part.module for part in parts)
    assert {part.layer for part in parts} == {STEM, *range(encoder.num_layers)}


def test_extra_losses_are_added_and_logged(monkeypatch):
    model = build().eval()
    data = model.data_preprocessor(raw_batch(sample()))
    extra = dict(sparsity=torch.tensor(0.5))
    before = model(**data, mode='loss')
    monkeypatch.setattr(type(model.encoder), 'extra_losses', lambda self: extra)
    losses = model(**data, mode='loss')
    assert [*losses] == [*before, 'loss_sparsity']
    total = model.parse_losses(losses)[0] - model.parse_losses(before)[0]
    assert total.item() == pytest.approx(0.5, abs=1e-5)
    extra['sal'] = torch.tensor(1.0)
    with pytest.raises(ValueError, match="extra loss 'sal'"):
        model(**data, mode='loss')


@pytest.mark.parametrize(
    'labels, message',
    [
        (
            dict(semseg=torch.zeros(8, 8, dtype=torch.int64)),
            r"'semseg' of image 'x' has .*\(8, 8\)",
        ),
        (dict(normals=torch.zeros(SIZE)), r"'normals' of image 'x' .* needs \(3, 32, 48\)"),
        (dict(semseg=torch.full(SIZE, 5)), "'semseg' of image 'x': class id 5, but there are 5"),
    ],
)
def test_faulty_labels(labels, message):
    model = build()
    faulty = MultiTaskSample(labels=TaskMaps(labels), metainfo=dict(img_id='x'))
    with pytest.raises(ValueError, match=message):
        model(**model.data_preprocessor(raw_batch(sample(0), faulty), True), mode='loss')


def test_faulty_calls():
    model = build()
    images = torch.rand(1, 3, *SIZE)
    with pytest.raises(ValueError, match='unknown forward mode'):
        model(images, mode='train')
    with pytest.raises(ValueError, match="unknown task 'edge'"):
        model(images, tasks=['edge'])
    with pytest.raises(ValueError, match='needs data_samples'):
        model(images, mode='loss')
    with pytest.raises(ValueError, match='1 images but 2 samples'):
        model(images, [sample(0), sample(1)], mode='loss')
    with pytest.raises(ValueError, match='inputs must be'):
        model(images[:0])


def base_configs():
    """Every base config of a model; the fast tests build one of each kind."""
    for path in sorted((ROOT / 'configs/_base_/models').glob('*.py')):
        fast = path.stem.startswith(('mobilenetv2', 'resnet18'))
        yield pytest.param(path, id=path.stem, marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize('path', list(base_configs()))
def test_base_configs_build(path):
    cfg = Config.fromfile(path).model
    cfg.encoder.backbone.weights = None
    if path.stem.endswith('_branched'):
        cfg.encoder.routes = 'separate'
    with torch.device('meta'):
        model = MODELS.build(dict(cfg, tasks=TASKS[:2]))
    assert set(model.heads) == set(NAMES[:2])
