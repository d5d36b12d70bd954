"""Hard-concrete gates and sparse deltas against closed forms and Monte Carlo."""

import pytest
import torch
from torch import nn

from bmtas.sharing import gates
from bmtas.sharing.deltas import LowRankDelta, SparseDelta, TaskDelta
from bmtas.sharing.support import choose_support, largest


def draws(alpha, count=400_000):
    generator = torch.Generator().manual_seed(0)
    like = torch.full((count,), float(alpha))
    return gates.gate(like, gates.logistic_noise(like, generator))


@pytest.mark.parametrize('alpha', [-3.0, -0.5, 0.0, 1.0, 5.0])
def test_probabilities_and_mean_equal_monte_carlo(alpha):
    z, logit = draws(alpha), torch.tensor(alpha)
    # four standard errors of a share of 400 000 draws, and the margin of u
    for drawn, formula in (
        ((z > 0).float().mean(), gates.probability_open(logit)),
        (z.mean(), gates.expected_gate(logit)),
    ):
        assert abs(float(drawn) - float(formula)) < 0.0034


def test_gates_start_as_published():
    five = torch.tensor(5.0)
    assert round(float(gates.probability_open(five)), 3) == 0.993


def test_deterministic_gate_is_closed_exactly_below_zero():
    assert gates.gate(torch.tensor([-2.0, 0.0])).tolist() == [0.0, 0.0]
    assert float(gates.gate(torch.tensor(1e-3))) > 0


def filled(shape=(4, 6), seed=0):
    torch.manual_seed(seed)
    delta = SparseDelta(torch.randn(shape), gated=True)
    nn.init.normal_(delta.delta)
    nn.init.normal_(delta.alpha)
    nn.init.constant_(delta.alpha_tensor, 0.3)
    return delta


def test_gradients_equal_the_closed_forms():
    delta, base, g = filled(), torch.randn(4, 6), torch.randn(4, 6)
    delta(base, torch.Generator().manual_seed(7)).backward(g)

    generator = torch.Generator().manual_seed(7)
    sampled = {}
    for name in ('alpha', 'alpha_tensor'):
        alpha = getattr(delta, name).detach()
        u = torch.rand(alpha.shape, generator=generator) * (1 - 2e-4) + 1e-4
        s = torch.sigmoid(torch.log(u) - torch.log(1 - u) + alpha)
        stretched = s * 3 - 1.5
        inside = (stretched > 0) & (stretched < 1)
        sampled[name] = (stretched.clamp(0, 1), torch.where(inside, 3 * s * (1 - s), 0.0))
    (z, dz), (t, dt) = sampled['alpha'], sampled['alpha_tensor']
    d = delta.delta.detach()
    assert torch.allclose(delta.delta.grad, g * z * t, atol=1e-6)
    assert torch.allclose(delta.alpha.grad, g * d * t * dz, atol=1e-6)
    assert torch.allclose(delta.alpha_tensor.grad, (g * d * z).sum() * dt, atol=1e-5)


def test_both_forms_of_the_penalty():
    delta = filled()
    open_, tensor = torch.sigmoid(delta.alpha).sum(), torch.sigmoid(delta.alpha_tensor)
    assert torch.isclose(delta.penalty('sum'), open_ + tensor)
    assert torch.isclose(delta.penalty('product'), open_ * tensor)


def test_noise_follows_from_the_seed_alone():
    delta, base = filled(), torch.zeros(4, 6)
    first, second, other = (delta(base, torch.Generator().manual_seed(s)) for s in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_gates_stay_in_float32_under_autocast():
    delta = filled()
    with torch.autocast('cpu', torch.bfloat16):
        assert delta._mask(torch.Generator().manual_seed(0)).dtype == torch.float32
        assert delta.penalty('sum').dtype == torch.float32


def tasks_of_three_tensors():
    torch.manual_seed(1)
    base = nn.Sequential(nn.Linear(7, 5), nn.LayerNorm(5))
    task = TaskDelta({'layers.0': base}, dict(type='SparseDelta'), gated=True)
    for _, delta in task.deltas():
        nn.init.normal_(delta.delta)
        nn.init.normal_(delta.alpha)
    return task


@pytest.mark.parametrize('density', [0.05, 0.31, 0.9, 1.0])
def test_projection_hits_the_density_to_one_weight(density):
    task = tasks_of_three_tensors()
    support = choose_support(task, 'global', density)
    total = sum(mask.numel() for mask in support.values())
    assert sum(int(mask.sum()) for mask in support.values()) == round(density * total)
    kept = torch.cat([d.score()[support[n]] for n, d in task.deltas()])
    lost = torch.cat([d.score()[~support[n]] for n, d in task.deltas()])
    assert not len(lost) or kept.min() >= lost.max()
    for name, mask in choose_support(task, 'tensor', density).items():
        assert int(mask.sum()) == round(density * mask.numel()), name


def test_ties_do_not_change_the_count():
    assert largest(torch.zeros(5), 3).tolist() == [True, True, True, False, False]
    assert int(largest(torch.tensor([1.0, 2, 2, 2, 0]), 2).sum()) == 2


def test_own_support_is_where_the_deterministic_gates_are_open():
    task = tasks_of_three_tensors()
    for name, mask in choose_support(task, 'gates', 1.0).items():
        assert torch.equal(mask, task.get_submodule(name).dense() != 0)


@pytest.mark.parametrize('density', [0, -0.1, 1.5])
def test_density_out_of_range(density):
    with pytest.raises(ValueError, match=r'sharing.density: must be in \(0, 1\]'):
        choose_support(tasks_of_three_tensors(), 'global', density)


def test_low_rank_delta_is_the_product_of_its_factors():
    torch.manual_seed(0)
    base = torch.randn(6, 3, 2, 2)
    delta = LowRankDelta(base, rank=2)
    assert torch.equal(delta(base), base)  # B is zero at first
    nn.init.normal_(delta.b)
    rows = torch.randn(5, 12)
    assert torch.allclose(delta(base) - base, (delta.b @ delta.a).view(6, 3, 2, 2), atol=1e-6)
    y = torch.randn(5, 6)
    expected = y + rows @ delta.dense().flatten(1).t()
    delta.product()(y, rows)
    assert torch.allclose(y, expected, atol=1e-5)
    assert delta.cost() == 2 * (6 + 12)


@pytest.mark.parametrize('rank', [0, 7])
def test_rank_must_fit_the_weight(rank):
    with pytest.raises(ValueError, match=r'delta.rank: .* must be 1 to 6'):
        LowRankDelta(torch.zeros(6, 8), rank)


def test_weights_outside_the_support_stay_the_base_s():
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    delta = SparseDelta(base)
    torch.nn.init.normal_(delta.delta)
    delta.support.copy_(torch.rand(4, 6) < 0.3)
    weight = delta(base)
    assert torch.equal(weight[~delta.support], base[~delta.support])
    assert torch.equal(weight[delta.support], (base + delta.delta)[delta.support])
    weight.sum().backward()
    assert torch.equal(delta.delta.grad, delta.support.float())
    assert delta.nonzero() == int(delta.support.sum()) == int((delta.dense() != 0).sum())
