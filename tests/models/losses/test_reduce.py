import warnings

import pytest
import torch
from loss_samples import SHAPES, draw_labels, make, unlabelled

from bmtas.kinds import Classes
from bmtas.registry import MODELS


@pytest.mark.parametrize('name', SHAPES)
def test_no_label_gives_zero_with_a_graph(name):
    loss = make(name)
    target, channels = unlabelled(name)
    logits = torch.randn(2, channels, 4, 6, requires_grad=True)
    value = 50 * loss(logits, target)
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize('name', SHAPES)
def test_ignored_pixels_change_nothing(name):
    loss = make(name)
    target, logits = draw_labels(name)
    blank, _ = unlabelled(name)
    with_blank = loss(torch.cat([logits, 9 * logits]), torch.cat([target, blank]))
    assert torch.allclose(with_blank, loss(logits, target))


@pytest.mark.parametrize('name', SHAPES)
def test_bfloat16_is_computed_in_float32_without_warning(name):
    loss = make(name)
    target, logits = draw_labels(name)
    logits = logits.bfloat16()
    with warnings.catch_warnings(), torch.autocast('cpu', torch.bfloat16):
        warnings.simplefilter('error')
        value = loss(logits.requires_grad_(), target)
        value.backward()
    assert value.dtype == torch.float32
    assert torch.allclose(value, loss(logits.float(), target))


@pytest.mark.parametrize('name', SHAPES)
def test_gradient_is_finite_at_zero(name):
    target, logits = draw_labels(name)
    logits = torch.zeros_like(logits).requires_grad_()
    make(name)(logits, target).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize('name', SHAPES)
def test_label_of_another_size(name):
    target, logits = draw_labels(name)
    with pytest.raises(ValueError, match=f'{name}: .* differ in size'):
        make(name)(logits, target[..., :-1])


def test_options_out_of_range():
    with pytest.raises(ValueError, match='pos_weight'):
        make('WeightedBCELoss', pos_weight=1.0)
    with pytest.raises(ValueError, match='margin'):
        make('BalancedBCELoss', margin=0.5)


@pytest.mark.parametrize('name', SHAPES)
def test_two_processes_average_to_the_gradient_of_one(name, monkeypatch):
    """Each process sees one image; reductions are replayed with the counts of both."""
    target, logits = draw_labels(name)
    target[1, ..., :3, :] = unlabelled(name)[0][1, ..., :3, :]
    loss = make(name)

    def gradient(part):
        inputs = logits[part].clone().requires_grad_()
        loss(inputs, target[part]).backward()
        return inputs.grad

    expected = gradient(slice(None))
    counts = [[], []]
    halves = (slice(0, 1), slice(1, 2))
    for rank, part in enumerate(halves):
        monkeypatch.setattr(
            'bmtas.models.losses.reduce.all_reduce',
            lambda count, op, rank=rank: counts[rank].append(count.clone()),
        )
        gradient(part)
    means = [torch.stack(pair).mean(0) for pair in zip(*counts)]
    for part in halves:
        replay = iter(means)
        monkeypatch.setattr(
            'bmtas.models.losses.reduce.all_reduce',
            lambda count, op, replay=replay: count.copy_(next(replay)),
        )
        # the wrapper averages the gradients of the processes
        assert torch.allclose(gradient(part) / 2, expected[part], atol=1e-7)


def test_no_reduction_without_gradients(monkeypatch):
    def fail(*_):
        raise AssertionError('processes would wait for each other')

    monkeypatch.setattr('bmtas.models.losses.reduce.all_reduce', fail)
    for name in SHAPES:
        target, logits = draw_labels(name)
        with torch.no_grad():
            make(name)(logits, target)


def test_losses_of_other_kinds_are_refused():
    for name, kind in (('CrossEntropyLoss', 'depth'), ('NormalsL1Loss', Classes(3))):
        with pytest.raises(ValueError, match=f'{name} is meant for kind .*, not for '):
            MODELS.build(dict(type=name, kind=kind))
