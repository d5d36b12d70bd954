"""Balancing against results computed by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls
from torch import nn

from bmtas.engine.balancing import Balancer

pytest.importorskip('torchjd')
ALL = torch.tensor([True, True])
METHODS = ['UW', 'DWA', 'FAMO', 'GeometricMean', 'Random']
AGGREGATORS = ['PCGrad', 'MGDA', 'CAGrad', 'AlignedMTL', 'UPGrad']


def linear_losses(w, *gradients):
    """Losses whose gradients in w are the given vectors."""
    return [(torch.tensor(g) * w).sum() for g in gradients]


def build(name, **kwargs):
    if name == 'CAGrad':
        pytest.importorskip('cvxpy')
    return Balancer(2, name, **kwargs)


def aggregated(name, *gradients, present=ALL):
    w = nn.Parameter(torch.zeros(2))
    build(name).aggregate(linear_losses(w, *gradients), present, [w])
    return w.grad


def test_pcgrad_of_two_conflicting_gradients():
    """g1 = (1, 0) and g2 = (-1, 1): each loses its part along the other, then they are added."""
    torch.testing.assert_close(
        aggregated('PCGrad', [1.0, 0.0], [-1.0, 1.0]), torch.tensor([0.5 + 0.0, 0.5 + 1.0])
    )


def test_mgda_is_the_shortest_convex_combination():
    torch.testing.assert_close(
        aggregated('MGDA', [2.0, 0.0], [0.0, 1.0]), torch.tensor([0.4, 0.8]), atol=2e-3, rtol=0
    )


def test_cagrad_with_equal_gradients_scales_the_mean():
    """For g1 = g2 = g the direction is (1 + c) g."""
    grad = aggregated('CAGrad', [3.0, 4.0], [3.0, 4.0])
    torch.testing.assert_close(grad / grad.norm(), torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize('name', ['PCGrad', 'MGDA', 'AlignedMTL', 'UPGrad', 'CAGrad'])
def test_aggregated_step_of_two_tasks_harms_none(name):
    g = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    assert (g @ aggregated(name, *g.tolist()) > -1e-4).all()


def conflicting(num_tasks, seed, size=6):
    """Gradients (T, size) of different lengths that pull in different directions."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(num_tasks, size)) * rng.uniform(0.5, 3, (num_tasks, 1))
    return matrix - 0.5 * matrix.mean(0)


def combined(name, matrix, **kwargs):
    """What a method makes of gradients (T, n)."""
    w = nn.Parameter(torch.zeros(matrix.shape[1], dtype=torch.float64))
    losses = [(torch.tensor(row) * w).sum() for row in matrix]
    Balancer(len(matrix), name, **kwargs).aggregate(losses, torch.ones(len(matrix)) > 0, [w])
    return w.grad.numpy()


def quadratic_program(objective, start, constraints):
    """Minimum by scipy's sequential least squares, which none of the methods uses."""
    found = minimize(objective, start, method='SLSQP', constraints=constraints, tol=1e-12,
                     options=dict(maxiter=1000))  # fmt: skip
    assert found.success, found.message
    return found.x


CASES = pytest.mark.parametrize('num_tasks, seed', [(2, 0), (3, 1), (3, 2), (4, 3)])


@CASES
def test_cagrad_solves_its_problem(num_tasks, seed):
    """Liu et al. 2021, eq. 1: max_d min_i g_i . d with ||d - g0|| <= c ||g0||, g0 the mean."""
    pytest.importorskip('cvxpy')
    g, c = conflicting(num_tasks, seed), 0.4
    mean = g.mean(0)
    radius = c * np.linalg.norm(mean)
    found = combined('CAGrad', g, c=c)
    # variables d and t: least -t with t <= g_i . d
    best = quadratic_program(
        lambda x: -x[-1],
        np.append(mean, (g @ mean).min()),
        [
            dict(type='ineq', fun=lambda x: g @ x[:-1] - x[-1]),
            dict(type='ineq', fun=lambda x: radius**2 - ((x[:-1] - mean) ** 2).sum()),
        ],
    )
    np.testing.assert_allclose(found, best[:-1], atol=2e-3 * np.linalg.norm(mean))
    assert np.linalg.norm(found - mean) <= radius * (1 + 1e-4)
    assert (g @ found).min() >= best[-1] - 1e-3 * abs(best[-1])


@CASES
def test_upgrad_is_the_mean_of_projections_onto_the_dual_cone(num_tasks, seed):
    """Quinton and Rey 2024: the nearest x to g_i with G x >= 0 is g_i + G^T v, v >= 0 (KKT)."""
    pytest.importorskip('quadprog')
    g = conflicting(num_tasks, seed)
    projections = []
    for row in g:
        v, _ = nnls(g.T, -row)
        x = row + g.T @ v
        assert (g @ x > -1e-9).all() and abs(v @ (g @ x)) < 1e-9
        projections.append(x)
    expected = np.mean(projections, 0)
    np.testing.assert_allclose(combined('UPGrad', g), expected, atol=2e-3 * np.linalg.norm(g))


@CASES
def test_aligned_mtl_gives_all_directions_the_smallest_singular_value(num_tasks, seed):
    """Senushkin et al. 2023, eq. 13: mean of the rows of s_min U V^T, with G = U S V^T."""
    g = conflicting(num_tasks, seed)
    u, s, vt = np.linalg.svd(g, full_matrices=False)
    expected = (s.min() * u @ vt).mean(0)
    np.testing.assert_allclose(combined('AlignedMTL', g), expected, rtol=1e-4, atol=1e-6)


@CASES
def test_mgda_is_the_shortest_vector_of_the_convex_hull(num_tasks, seed):
    g = conflicting(num_tasks, seed)
    weights = quadratic_program(
        lambda w: ((w @ g) ** 2).sum(),
        np.full(num_tasks, 1 / num_tasks),
        [
            dict(type='eq', fun=lambda w: w.sum() - 1),
            dict(type='ineq', fun=lambda w: w),
        ],
    )
    found = combined('MGDA', g, epsilon=1e-8, max_iters=5000)
    np.testing.assert_allclose(found, weights @ g, atol=1e-2 * np.linalg.norm(weights @ g))


@pytest.mark.parametrize('seed', range(4))
def test_pcgrad_of_three_tasks_follows_some_order(seed):
    """Yu et al. 2020, algorithm 1: each task meets the others in an order of its own."""
    g = conflicting(3, seed)

    def projected(task, others):
        row = g[task].copy()
        for other in others:
            row -= min(0, row @ g[other]) / (g[other] @ g[other]) * g[other]
        return row

    choices = [
        [projected(task, order) for order in itertools.permutations({0, 1, 2} - {task})]
        for task in range(3)
    ]
    torch.manual_seed(seed)
    found = combined('PCGrad', g)
    sums = [sum(rows) for rows in itertools.product(*choices)]
    assert min(np.abs(found - s).max() for s in sums) < 1e-5


def test_gradients_stay_their_own_where_tasks_do_not_meet():
    shared, first, second = (nn.Parameter(torch.ones(2)) for _ in range(3))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    unused = nn.Parameter(torch.ones(2))
    losses = [(shared * first).sum(), (-2 * shared * second * frozen).sum()]
    build('PCGrad').aggregate(losses, ALL, [shared, first, second, frozen, unused])
    assert first.grad.tolist() == [1.0, 1.0] and second.grad.tolist() == [-2.0, -2.0]
    # each opposite gradient loses all of itself
    assert shared.grad.tolist() == [0.0, 0.0]
    assert frozen.grad is None and unused.grad is None


@pytest.mark.parametrize('name', AGGREGATORS)
def test_aggregator_leaves_a_missing_task_out(name):
    present = torch.tensor([True, False])
    grad = aggregated(name, [1.0, 2.0], [5.0, -5.0], present=present)
    assert grad.tolist() == [1.0, 2.0]


def test_uncertainty_by_hand():
    balancer = build('UW')
    losses = torch.tensor([2.0, 6.0], requires_grad=True)
    total = balancer.scalarize(losses, ALL)
    total.backward()
    assert total.item() == pytest.approx(4.0)
    assert losses.grad.tolist() == [0.5, 0.5]
    # d/ds (exp(-s) L + s) / 2 at s = 0 is (1 - L) / 2
    assert balancer.method.log_var.grad.tolist() == pytest.approx([-0.5, -2.5])
    balancer.step(lambda: None, ALL)
    assert (balancer.method.log_var > 0).all() and balancer.method.log_var.grad is None


def test_dwa_by_hand():
    balancer = build('DWA')
    for losses in ([4.0, 4.0], [2.0, 4.0]):
        assert balancer.scalarize(torch.tensor(losses), ALL).item() == sum(losses)
        balancer.end_pass()
    weights = [math.exp(0.5 / 2), math.exp(1.0 / 2)]
    expected = 2 * (weights[0] * 3 + weights[1] * 5) / sum(weights)
    assert balancer.scalarize(torch.tensor([3.0, 5.0]), ALL).item() == pytest.approx(expected)


def test_geometric_mean_by_hand():
    assert build('GeometricMean').scalarize(torch.tensor([2.0, 8.0]), ALL).item() == pytest.approx(
        4
    )


def test_famo_gives_the_task_that_falls_slower_more_weight():
    balancer = build('FAMO')
    for _ in range(20):
        balancer.scalarize(torch.tensor([1.0, 1.0]), ALL)
        balancer.step(lambda: torch.tensor([0.5, 0.9]), ALL)
    losses = torch.ones(2, requires_grad=True)
    balancer.scalarize(losses, ALL).backward()
    assert losses.grad[1] > losses.grad[0] and losses.grad.sum().item() == pytest.approx(1)


@pytest.mark.parametrize('name', METHODS)
def test_scalarizer_gets_no_gradient_from_a_missing_task(name):
    balancer = build(name)
    balancer.scalarize(torch.tensor([1.5, 2.5]), ALL)
    losses = torch.tensor([1.0, 0.0], requires_grad=True)
    total = balancer.scalarize(losses, torch.tensor([True, False]))
    total.backward()
    assert torch.isfinite(total) and losses.grad[0] > 0 and losses.grad[1] == 0
    assert balancer.last_losses.tolist() == [1.0, 2.5]


@pytest.mark.parametrize('name', METHODS)
def test_state_makes_a_balancer_go_on(name, tmp_path):
    """Interrupted after five updates and continued equals uninterrupted."""

    def run(balancer, updates):
        totals = []
        for u in updates:
            torch.manual_seed(u)
            losses = torch.tensor([1.0 + u, 5.0 / (1 + u)])
            total = balancer.scalarize(losses, ALL)
            if total.requires_grad:
                total.backward()
            after = losses * torch.tensor([0.9, 0.99])
            balancer.step(lambda after=after: after, ALL)
            if u % 2:
                balancer.end_pass()
            totals.append(total.item())
        return totals

    whole = run(build(name), range(10))
    first = build(name)
    run(first, range(5))
    torch.save(first.state_dict(), tmp_path / 'state.pth')
    second = build(name)
    second.load_state_dict(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert run(second, range(5, 10)) == whole[5:]


def test_errors_name_key_and_choice():
    with pytest.raises(ValueError, match=r"balancing.method: .*no method 'PCgrad'; .*PCGrad"):
        Balancer(2, 'PCgrad')
    with pytest.raises(ValueError, match='balancing.temp: DWA has no .* .temp.; .*temperature'):
        Balancer(2, 'DWA', temp=1.0)


def test_missing_library_is_one_line(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith('torchjd'):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ValueError, match=r'needs the library torchjd; pip install'):
        Balancer(2, 'UW')
