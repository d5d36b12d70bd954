"""Which training passes are replayed, and what must never be; the graphs are in test_gpu.py."""

import copy
import pickle
import warnings

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from small_model import ENCODERS, build, raw_batch, sample

from bmtas.engine import summed_losses
from bmtas.models import cuda_graphs
from bmtas.models.cuda_graphs import CapturedPasses
from bmtas.registry import MODELS
from bmtas.search.gradient import alpha_update, split_parameters, warmup_update, weight_update


@pytest.fixture
def calls(monkeypatch):
    """A GPU that is none: 'capture' after three trial runs, as torch's, then calls as 'replay'."""
    log = []

    def capture(function, samples, pool):
        for _ in range(3):
            total = sum(logits.sum() for logits in function(*samples))
            torch.autograd.grad(total, [x for x in samples if x.requires_grad])
        warnings.warn("The AccumulateGrad node's stream does not match", stacklevel=2)
        log.append('capture')

        def replay(*given):
            log.append('replay')
            assert len(given) == len(samples)
            # weights are where they were, whoever holds them
            assert all(x.data_ptr() == y.data_ptr() for x, y in zip(given, samples) if y.is_leaf
                       and isinstance(x, torch.nn.Parameter))  # fmt: skip
            return function(*given)

        return replay

    monkeypatch.setattr(torch.cuda, 'make_graphed_callables', capture)
    monkeypatch.setattr(torch.cuda, 'graph_pool_handle', lambda: (0, 0))
    fork = torch.random.fork_rng
    monkeypatch.setattr(torch.random, 'fork_rng', lambda devices: fork([]))
    monkeypatch.setattr(CapturedPasses, '_capturable', lambda self, x: torch.is_grad_enabled())
    return log


def train(model, updates, tasks=None, clear=True):
    torch.manual_seed(1)
    data = model.data_preprocessor(raw_batch(sample(0), sample(1)), True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(updates):
        total, _ = summed_losses(model, data, tasks=tasks)
        total.backward()
        if clear:
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize('encoder', ['branched', 'single'])
def test_the_second_pass_of_a_kind_is_captured(calls, encoder):
    model, plain = build(encoder, cuda_graphs=True), build(encoder)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        train(model, 4), train(plain, 4)
    assert calls == ['capture', 'replay', 'replay', 'replay']
    # not even the statistics know of the trial runs
    for (name, ours), theirs in zip(model.state_dict().items(), plain.state_dict().values()):
        assert torch.equal(ours, theirs), name


def test_other_tasks_sizes_and_frozen_weights_are_other_kinds(calls):
    model = build(cuda_graphs=True)
    train(model, 2, ['sal']), train(model, 1, ['depth'])
    assert calls == ['capture', 'replay']
    next(model.parameters()).requires_grad_(False)
    train(model, 1, ['sal'])
    assert calls == ['capture', 'replay']
    train(model, 1, ['sal'])
    assert calls[2:] == ['capture', 'replay']
    with torch.no_grad():
        train_data = model.data_preprocessor(raw_batch(sample(0)), True)
        model(**train_data, mode='loss'), model(**train_data, mode='loss')
    model.eval()(**train_data, mode='loss'), model(**train_data, mode='loss')
    assert len(calls) == 4


def test_weights_that_move_are_captured_anew(calls):
    model = build(cuda_graphs=True)
    train(model, 3)
    weight = model.heads['sal'].logits.weight
    weight.data = weight.data.clone()
    train(model, 1)
    assert calls == ['capture', 'replay', 'replay']
    train(model, 1)
    assert calls[3:] == ['capture', 'replay']


def test_waiting_gradients_are_not_written_over(calls):
    model, plain = build(cuda_graphs=True), build()
    train(model, 2)
    before = len(calls)
    train(model, 1, clear=False)
    assert calls[before:] == ['replay']
    train(model, 2, clear=False)
    assert calls[before:] == ['replay']
    train(plain, 2), train(plain, 1, clear=False), train(plain, 2, clear=False)
    for ours, theirs in zip(model.parameters(), plain.parameters()):
        assert torch.equal(ours.grad, theirs.grad)


def test_a_replay_gets_one_backward_pass_before_the_next(calls):
    model = build(cuda_graphs=True)
    train(model, 2)
    data = model.data_preprocessor(raw_batch(sample(0), sample(1)), True)
    total, _ = summed_losses(model, data)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match='model.cuda_graphs: this pass.*leave cuda_graphs out'):
        total.backward()
    model.zero_grad()
    first, _ = summed_losses(model, data)
    second, _ = summed_losses(model, data)
    second.backward()
    with pytest.raises(RuntimeError, match='followed by another one'):
        first.backward()
    model.zero_grad()
    with model.captured.off():
        total, _ = summed_losses(model, data)
        total.backward(retain_graph=True), total.backward()


def test_every_update_of_a_search_is_the_eager_one(calls):
    def search(**options):
        model = build('supergraph', **options)
        weights, alpha = split_parameters(model)
        wrappers = OptimWrapperDict(
            weights=OptimWrapper(torch.optim.SGD(weights, lr=1e-3)),
            alpha=OptimWrapper(torch.optim.Adam(alpha, lr=1e-1)),
        )
        generator, batch = torch.Generator().manual_seed(0), raw_batch(sample(0), sample(1))
        for hard, floor in [(False, 0)] * 3 + [(True, 0)] * 2 + [(False, 0.2)] * 2:
            draw = lambda: model.encoder.sample_weights(0.5, generator, hard, floor)  # noqa: E731, B023
            warmup_update(model, batch, wrappers)
            alpha_update(model, batch, wrappers, draw())
            weight_update(model, batch, wrappers, draw())
        return model

    captured, plain = search(cuda_graphs=True), search()
    for (name, ours), theirs in zip(captured.state_dict().items(), plain.state_dict().values()):
        assert torch.equal(ours, theirs), name
    # 4 tasks: 7 warm-ups, 3 alpha and 3 weight updates that run all candidates, the first eager
    assert calls.count('capture') == 3 * 4 and calls.count('replay') == 4 * (6 + 2 + 2)


def test_kinds_are_limited_and_this_is_said(calls, monkeypatch, caplog):
    monkeypatch.setattr(cuda_graphs, 'MOST', 1)
    said = []
    monkeypatch.setattr(cuda_graphs, 'print_log', lambda text, *_: said.append(text))
    model = build(cuda_graphs=True)
    train(model, 2, ['sal']), train(model, 3, ['depth'])
    assert calls == ['capture', 'replay'] and len(said) == 1 and '1 kinds' in said[0]


def test_kinds_that_never_come_again_are_forgotten(calls, monkeypatch):
    monkeypatch.setattr(cuda_graphs, 'REMEMBERED', 2)
    model = build(cuda_graphs=True)
    for task in ('sal', 'depth', 'normals', 'semseg'):
        train(model, 1, [task])
        assert len(model.captured._seen) <= 2
    train(model, 1, ['sal'])
    assert calls == []
    train(model, 1, ['sal'])
    assert calls == ['capture', 'replay']


def test_a_copy_captures_its_own(calls):
    model = build(cuda_graphs=True)
    train(model, 2)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.captured.model is other and not other.captured._replays
        before = len(calls)
        train(other, 2)
        assert calls[before:] == ['capture', 'replay']


def test_what_cannot_be_captured(calls, monkeypatch):
    def refuse(*_, **__):
        try:
            raise RuntimeError('operation not permitted when stream is capturing\nand so on')
        finally:
            raise RuntimeError('operation failed due to a previous error during capture')

    monkeypatch.setattr(torch.cuda, 'make_graphed_callables', refuse)
    with pytest.raises(RuntimeError, match=r'not permitted when stream is capturing\); leave'):
        train(build(cuda_graphs=True), 2)


def test_encoders_whose_passes_differ_are_refused():
    class Wanderer(MODELS.get('BranchedEncoder')):
        from bmtas.models.encoders import Encoder

        work = Encoder.work

    monkey = dict(ENCODERS['branched'], type=Wanderer)
    with pytest.raises(ValueError, match='model.cuda_graphs: Wanderer does not say'):
        ENCODERS['wanderer'] = monkey
        try:
            build('wanderer', cuda_graphs=True)
        finally:
            del ENCODERS['wanderer']


def test_nothing_is_captured_on_a_cpu():
    model = build(cuda_graphs=True)
    train(model, 3)
    assert not model.captured._seen
