"""The expected cost against enumeration, Monte Carlo and finite differences."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
import torch

from bmtas.branching import BranchingTree, expected_cost, expected_groups

SIZES = [(1, 1, 2), (3, 2, 2), (2, 3, 2), (3, 3, 3), (2, 4, 3), (2, 3, 5), (2, 5, 2)]


def make_logits(size, scale, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(size, generator=generator, dtype=torch.float64)


def all_rows(probs):
    """Every draw of one layer (T candidates) with its probability."""
    num_tasks, num_candidates = probs.shape
    for row in itertools.product(range(num_candidates), repeat=num_tasks):
        yield row, float(np.prod([probs[t, k] for t, k in enumerate(row)]))


def meet(partition, row):
    seen = {}
    return tuple(seen.setdefault(pair, len(seen)) for pair in zip(partition, row))


def brute_force(logits, costs):
    """Expected cost per layer by passing the distribution over (partition, row) through layers."""
    states = {(0,) * logits.shape[1]: 1.0}
    result = []
    for layer, probs in enumerate(logits.softmax(-1).numpy()):
        after, total = defaultdict(float), 0.0
        for partition, weight in states.items():
            for row, prob in all_rows(probs):
                groups = meet(partition, row)
                price = {group: costs[layer][k] for group, k in zip(groups, row)}
                total += weight * prob * sum(price.values())
                after[groups] += weight * prob
        states = after
        result.append(total)
    return torch.tensor(result, dtype=torch.float64)


def recursion_by_enumeration(logits):
    """The published recursion over partitions, written out over all draws."""
    num_tasks = logits.shape[1]
    separate = tuple(range(num_tasks))
    one = (0,) * num_tasks
    running, result = {one: 1.0}, []
    for probs in logits.softmax(-1).numpy():
        drawn = defaultdict(float)
        for row, prob in all_rows(probs):
            drawn[meet(one, row)] += prob
        after = {}
        for fine, prob in drawn.items():
            if fine != separate:
                coarser = [w for coarse, w in running.items() if meet(coarse, fine) == fine]
                after[fine] = prob * sum(coarser)
        after[separate] = after.get(separate, 0) + 1 - sum(after.values())
        running = after
        result.append(sum(weight * (max(key) + 1) for key, weight in running.items()))
    return torch.tensor(result, dtype=torch.float64)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('scale', [0.0, 1.0, 6.0])
def test_exact_equals_brute_force(size, scale):
    logits = make_logits(size, scale)
    ones = np.ones((size[0], size[2]))
    torch.testing.assert_close(expected_groups(logits), brute_force(logits, ones))


@pytest.mark.parametrize('size', SIZES)
def test_candidates_of_different_cost(size):
    logits = make_logits(size, 1.5)
    costs = np.random.default_rng(0).uniform(1, 3, (size[0], size[2]))
    expected = brute_force(logits, costs).sum()
    torch.testing.assert_close(expected_cost(logits, torch.tensor(costs)), expected)
    same = np.repeat(costs[:, :1], size[2], 1)
    torch.testing.assert_close(
        expected_cost(logits, torch.tensor(same)), expected_cost(logits, torch.tensor(same[:, 0]))
    )


def draw_groups(logits, num, seed):
    """Number of groups of ``num`` drawn trees, (num, L)."""
    rng = np.random.default_rng(seed)
    probs = logits.softmax(-1).numpy()
    cumulative = probs.cumsum(-1)[None]
    routes = (rng.random((num, *probs.shape[:2], 1)) > cumulative[..., :-1]).sum(-1)
    code = np.zeros((num, probs.shape[1]))
    result = []
    for layer in range(len(probs)):
        code = code * probs.shape[2] + routes[:, layer]
        result.append(1 + (np.diff(np.sort(code, 1), axis=1) > 0).sum(1))
    return np.stack(result, 1)


def test_exact_equals_monte_carlo_for_eight_tasks():
    logits = make_logits((6, 8, 5), 3.0)
    groups = draw_groups(logits, 40000, 1)
    error = groups.std(0) / np.sqrt(len(groups))
    assert np.all(np.abs(groups.mean(0) - expected_groups(logits).numpy()) < 4.5 * error + 1e-9)


@pytest.mark.parametrize('mode', ['exact', 'paper'])
@pytest.mark.parametrize('scale', [0.3, 4.0])
def test_gradient_by_finite_differences(mode, scale):
    logits = make_logits((3, 4, 3), scale).requires_grad_()
    costs = torch.tensor([1.0, 5.0, 2.0])
    assert torch.autograd.gradcheck(lambda x: expected_cost(x, costs, mode), (logits,))
    assert torch.autograd.gradgradcheck(lambda x: expected_cost(x, costs, mode), (logits,))


def test_gradient_with_costs_per_candidate():
    logits = make_logits((3, 3, 4), 1.0).requires_grad_()
    costs = torch.rand(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: expected_cost(x, costs), (logits,))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('scale', [0.0, 1.0, 6.0])
def test_paper_equals_its_definition(size, scale):
    logits = make_logits(size, scale)
    groups = expected_groups(logits, 'paper')
    torch.testing.assert_close(groups, recursion_by_enumeration(logits))


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('scale', [0.1, 1.0, 5.0])
def test_paper_is_an_upper_bound(seed, scale):
    for size in [(6, 3, 3), (6, 5, 4), (4, 6, 6)]:
        logits = make_logits(size, scale, seed)
        assert torch.all(
            expected_groups(logits, 'paper') >= expected_groups(logits) - 1e-9 * size[1]
        )
    logits = make_logits((7, 2, 3), scale, seed)
    torch.testing.assert_close(expected_groups(logits, 'paper'), expected_groups(logits))


def one_hot_logits(routes, num_candidates, value):
    return value * torch.nn.functional.one_hot(torch.as_tensor(routes), num_candidates)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('value', [1e4, torch.inf])
def test_one_hot_rows_give_the_cost_of_the_tree(dtype, value):
    rng = np.random.default_rng(0)
    costs = torch.tensor([3.0, 5.0, 7.0, 11.0], dtype=dtype)
    for num_tasks in (2, 5, 9):
        routes = rng.integers(0, 3, (4, num_tasks))
        logits = one_hot_logits(routes, 3, 1).to(dtype)
        logits = torch.where(logits == 1, 0.0, -value).to(dtype).requires_grad_()
        num_groups = BranchingTree.from_routes(routes).num_groups
        cost = expected_cost(logits, costs)
        assert cost.item() == sum(c * n for c, n in zip(costs.tolist(), num_groups))
        cost.backward()
        assert torch.isfinite(logits.grad).all()
        sampled = expected_cost(logits, costs, 'sampled', num_samples=2)
        assert sampled.item() == pytest.approx(cost.item())
        (gradient,) = torch.autograd.grad(sampled, logits)
        assert torch.isfinite(gradient).all()
        if num_tasks <= 5:
            (gradient,) = torch.autograd.grad(expected_cost(logits, costs, 'paper'), logits)
            assert torch.isfinite(gradient).all()


def test_split_and_rejoin_costs_two_copies_exactly_and_five_in_the_recursion():
    routes = [[0] * 5] * 3 + [[0, 0, 0, 1, 1]] + [[0] * 5] * 14
    logits = one_hot_logits(routes, 5, 200.0).double()
    assert expected_groups(logits).tolist() == [1] * 3 + [2] * 15
    assert expected_groups(logits, 'paper').tolist() == [1] * 3 + [2] + [5] * 14


def test_expectation_at_uniform_choices():
    for num_tasks, expected in ((3, 2.111), (4, 2.734), (5, 3.362)):
        groups = expected_groups(torch.zeros(2, num_tasks, num_tasks))
        assert groups[0].item() == pytest.approx(expected, abs=5e-4)
    logits = torch.zeros(4, 5, 5, requires_grad=True)
    expected_cost(logits, [1.0, 2.0, 3.0, 4.0]).backward()
    assert logits.grad.abs().max() < 1e-6  # a saddle: the symmetry must be broken


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_value_stays_within_its_bounds(dtype):
    for num_tasks in (1, 2, 9, 15):
        for scale in (0.0, 1e-8, 30.0, 1e3):
            logits = make_logits((12, num_tasks, 3), scale).to(dtype)
            logits[..., 0] += 40.0  # nearly shared: the sum over sets cancels to 1
            groups = expected_groups(logits)
            assert groups.dtype == dtype
            assert torch.all((groups >= 1) & (groups <= num_tasks))
            cost = expected_cost(logits, torch.full((12,), 0.1, dtype=dtype)).item()
            assert 1.2 - 1e-6 <= cost <= 1.2 * num_tasks + 1e-6


def test_gradient_where_products_underflow():
    logits = make_logits((40, 4, 4), 60.0).requires_grad_()
    expected_cost(logits, torch.ones(40)).backward()
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_give_single_precision():
    logits = make_logits((3, 3, 3), 1.0)
    assert expected_cost(logits.bfloat16(), [1, 1, 1]).dtype == torch.float32


@pytest.mark.parametrize('per_candidate', [False, True])
def test_sampled_is_unbiased_in_value_and_gradient(per_candidate):
    logits = make_logits((4, 4, 3), 1.0).requires_grad_()
    costs = torch.rand((4, 3) if per_candidate else 4, dtype=torch.float64) + 0.5
    exact = expected_cost(logits, costs)
    (gradient,) = torch.autograd.grad(exact, logits)
    generator = torch.Generator().manual_seed(0)
    values, gradients = [], []
    for _ in range(1500):
        value = expected_cost(logits, costs, 'sampled', num_samples=4, generator=generator)
        values.append(value.detach())
        gradients.append(torch.autograd.grad(value, logits)[0])
    for estimates, truth in ((torch.stack(values), exact), (torch.stack(gradients), gradient)):
        error = estimates.std(0) / len(estimates) ** 0.5
        # 48 entries at 4.5 standard errors: a false alarm in 3,000 seeds
        assert torch.all((estimates.mean(0) - truth).abs() < 4.5 * error + 1e-12)


def test_sampled_serves_forty_tasks():
    logits = make_logits((18, 40, 8), 2.0).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    groups = draw_groups(logits.detach(), 2000, 0)
    estimates = torch.stack(
        [expected_groups(logits, 'sampled', 32, generator).detach() for _ in range(30)]
    )
    error = (estimates.var(0) / 30 + torch.tensor(groups.var(0) / len(groups))).sqrt()
    difference = (estimates.mean(0) - torch.tensor(groups.mean(0))).abs()
    # in later layers tasks that still share are too rare for a bound from the sample's deviation
    assert torch.all(difference[:5] < 4.5 * error[:5])
    assert torch.all(difference[5:] < 5e-3)
    cost = expected_cost(logits, torch.ones(18), 'sampled', generator=generator)
    cost.backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().max() > 0


def test_sampled_repeats_with_the_same_generator():
    logits = make_logits((3, 6, 4), 1.0)
    first, second = (
        expected_cost(logits, [1, 2, 3], 'sampled', generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((torch.zeros(3, 2), [1, 1, 1]), 'layers, tasks, candidates'),
        ((torch.zeros(3, 2, 2), [1, 1]), r'costs must be \(L,\) or \(L, K\)'),
        ((torch.zeros(3, 2, 2), [1, 1, 1], 'Paper'), "unknown mode 'Paper'"),
        ((torch.zeros(2, 21, 2), [1, 1]), "use mode 'sampled'"),
        ((torch.zeros(2, 10, 2), [1, 1], 'paper'), "use mode 'exact'"),
        ((torch.zeros(2, 2, 2), torch.ones(2, 2), 'paper'), 'one cost per layer'),
        ((torch.zeros(2, 2, 2), [1, 1], 'sampled', 0), 'num_samples must be positive'),
    ],
)
def test_faulty_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        expected_cost(*arguments)


def descend(num_layers, num_tasks, steps, mode, seed=0):
    """Adam on the expected cost alone; number of groups of the argmax tree."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(num_layers, num_tasks, num_tasks, generator=generator)
    logits = (0.1 * noise).requires_grad_()
    costs = torch.linspace(0.2, 0.1, num_layers)
    optimizer = torch.optim.Adam([logits], lr=0.01, weight_decay=5e-5)
    for _ in range(steps):
        optimizer.zero_grad()
        expected_cost(logits, costs, mode).backward()
        optimizer.step()
    return BranchingTree.from_routes(logits.argmax(-1)).num_groups


def test_descent_on_the_exact_cost_alone_reaches_shared_small():
    assert descend(4, 3, 600, 'exact') == (1,) * 4


@pytest.mark.slow
def test_descent_on_the_exact_cost_alone_reaches_shared():
    assert descend(18, 5, 2500, 'exact') == (1,) * 18
