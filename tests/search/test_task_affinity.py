"""Affinities of gradients: against true lookahead steps, and without a trace in the training."""

import copy

import pytest
import torch
from torch import nn

from bmtas.resources import Part
from bmtas.search.task_affinity import TaskAffinityHook


class Toy(nn.Module):
    """Two layers of one matrix each and two tasks that read the end."""

    captured = None

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = (nn.Linear(4, 4, bias=False).double() for _ in range(2))
        self.norm = nn.BatchNorm1d(4).double()
        self.tasks = [type('Task', (), dict(name=name)) for name in 'ab']

    @property
    def encoder(self):
        return self

    def parts(self):
        return [Part('first', self.first, 0, 'ab'), Part('second', self.second, 1, 'ab')]

    def data_preprocessor(self, batch, training):
        return dict(inputs=torch.stack(batch['inputs']))

    def forward(self, inputs, mode):
        x = self.second(torch.tanh(self.norm(self.first(inputs))))
        return dict(loss_a=(x[:, 0] - 2).square().mean(), loss_b=3 * (x[:, :2] - 1).abs().mean())


def images(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, 4, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize('kind', ['SGD', 'Adam'])
def test_products_are_what_true_steps_change(kind):
    """One small step of task u on one location, measured by forward passes."""
    model = Toy().train()
    optimizer = getattr(torch.optim, kind)(model.parameters(), 1e-3)
    if kind == 'Adam':  # moments that differ from 1
        for seed in range(3):
            optimizer.zero_grad()
            sum(model(torch.stack(images(8, seed)), 'loss').values()).backward()
            optimizer.step()
    same = images(6, 5)
    batch = dict(inputs=[*same, *same])  # both halves alike: cross equals same
    found = TaskAffinityHook([0, 1]).measure(model, batch, optimizer)
    torch.testing.assert_close(found[0], found[1])
    inputs, rate = torch.stack(same), 1e-6
    for place, name in enumerate(('first', 'second')):
        for u, source in enumerate('ab'):
            stepped = copy.deepcopy(model)
            weight = getattr(stepped, name).weight
            loss = stepped(inputs, 'loss')[f'loss_{source}'].log()
            (step,) = torch.autograd.grad(loss, weight)
            state = optimizer.state.get(getattr(model, name).weight, {})
            if 'exp_avg_sq' in state:
                step = step / ((state['exp_avg_sq'] / (1 - 0.999**3)).sqrt() + 1e-8)
            before = {k: v.log() for k, v in stepped(inputs, 'loss').items()}
            with torch.no_grad():
                weight -= rate * step
            after = {k: v.log() for k, v in stepped(inputs, 'loss').items()}
            for t, target in enumerate('ab'):
                gained = (before[f'loss_{target}'] - after[f'loss_{target}']) / rate
                assert float(found[1, place, t, u]) == pytest.approx(float(gained), rel=1e-3)


def test_nothing_but_the_sums_changes():
    model = Toy().train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    runner = type('Runner', (), dict(model=model, max_iters=20, iter=0))
    runner.optim_wrapper = type('Wrapper', (), dict(optimizer=optimizer))
    hook, measured = TaskAffinityHook([0, 1], interval=5, begin=0.2), []
    hook.measure = lambda *args: (
        measured.append(runner.iter) or TaskAffinityHook.measure(hook, *args)
    )
    random = torch.random.get_rng_state()
    for runner.iter in range(20):
        hook.before_train_iter(runner, runner.iter, dict(inputs=images(8, runner.iter)))
    assert measured == [4, 9, 14, 19]
    assert torch.random.get_rng_state().equal(random)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    affinity = hook.affinity()
    assert affinity.diagonal(dim1=1, dim2=2).abs().eq(1).all()
    checkpoint = {}
    hook.before_save_checkpoint(runner, checkpoint)
    other = TaskAffinityHook([0, 1])
    with pytest.raises(ValueError, match='too short for a measurement'):
        other.affinity()
    other.after_load_checkpoint(runner, checkpoint)
    assert other.affinity().equal(affinity)
    with pytest.raises(ValueError, match='at least 4 images'):
        hook.before_train_iter(runner, 0, dict(inputs=images(3, 0)))
