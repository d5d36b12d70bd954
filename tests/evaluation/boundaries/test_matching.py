"""Matchings against an independent maximum matching, and the properties any matching has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from bmtas import jit as jit_module
from bmtas.evaluation.boundaries import BoundaryMatcher


def largest_matching(predicted, truth, radius):
    """Size of a maximum matching by Kuhn's algorithm, depth first over explicit edges."""
    edges = {
        tuple(p): [tuple(t) for t in np.argwhere(truth) if ((p - t) ** 2).sum() <= radius**2]
        for p in np.argwhere(predicted)
    }
    owner = {}

    def place(p, visited):
        for t in edges[p]:
            if t not in visited:
                visited.add(t)
                if t not in owner or place(owner[t], visited):
                    owner[t] = p
                    return True
        return False

    return sum(place(p, set()) for p in edges)


masks = hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))


@settings(max_examples=150, deadline=None)
@given(masks, st.data(), st.floats(0.5, 4.0))
def test_cardinality_is_the_maximum(predicted, data, radius):
    truth = data.draw(hnp.arrays(bool, predicted.shape))
    matched = BoundaryMatcher(truth, radius).match(predicted)
    assert not (matched & ~predicted).any()
    assert matched.sum() == largest_matching(predicted, truth, radius)


def hundredths(predicted, truth):
    """Distances of all predicted from all true pixels in hundredths of a pixel, rounded."""
    squared = ((np.argwhere(predicted)[:, None] - np.argwhere(truth)) ** 2).sum(-1)
    return np.rint(100 * np.sqrt(squared))


@settings(max_examples=150, deadline=None)
@given(masks, st.data(), st.floats(0.5, 4.0))
def test_sum_of_distances_is_the_least_of_the_largest_matchings(predicted, data, radius):
    """SciPy's assignment of all pixels to partners or, at a cost above all distances, to none."""
    truth = data.draw(hnp.arrays(bool, predicted.shape))
    first, second = BoundaryMatcher(truth, radius).pairs(predicted)
    assert len(set(first)) == len(set(second)) == len(first)
    assert predicted.flat[first].all() and truth.flat[second].all()
    steps = np.stack(np.unravel_index(first, truth.shape)) - np.unravel_index(second, truth.shape)
    lengths = np.hypot(*steps)
    assert (lengths <= radius).all()
    alone = 1e6
    near = hundredths(predicted, truth)
    cost = np.full((len(near), truth.sum() + len(near)), alone)
    cost[:, : truth.sum()] = np.where(near <= 100 * radius, near, 2 * alone)
    expected = cost[linear_sum_assignment(cost)]
    assert np.rint(100 * lengths).sum() == expected[expected < alone].sum()


def test_long_augmenting_path():
    # greedy pairs each true pixel with the predicted one on it and leaves the first predicted
    # pixel alone; only a path through all pairs makes room for it
    predicted = np.zeros((1, 42), bool)
    truth = predicted.copy()
    predicted[0, :40:2] = True
    truth[0, 2:41:2] = True
    assert BoundaryMatcher(truth, 1).match(predicted).sum() == 19
    assert BoundaryMatcher(truth, 2).match(predicted).sum() == 20


@pytest.mark.parametrize('seed', range(6))
def test_crowded_maps_need_several_rounds(seed):
    """Searches run into each other here; against SciPy's matching on the explicit graph."""
    rng = np.random.default_rng(seed)
    truth, predicted = rng.random((2, 40, 40)) < 0.5
    distance = ((np.argwhere(predicted)[:, None] - np.argwhere(truth)) ** 2).sum(-1)
    expected = (maximum_bipartite_matching(csr_matrix(distance <= 4)) >= 0).sum()
    assert BoundaryMatcher(truth, 2).match(predicted).sum() == expected


def pairs_of_berkeley(predicted, truth, radius, partners, rng):
    """Number of pairs and sum of their distances by the assignment problem of the Berkeley
    benchmark, solved exactly.

    Every pixel with another one in reach is a node. A pair costs its distance, a node without one
    an outlier: each may go to some that are drawn at random, or to its own at a higher price; what
    is left of the outliers is paired in the same way.
    """
    near = hundredths(predicted, truth)
    within = near <= 100 * radius
    near = near[within.any(1)][:, within.any(0)]
    first, second = near.shape
    outlier = np.ceil(100 * 100 * radius)
    cost = np.full((first + second,) * 2, 1e9)
    cost[:first, :second] = np.where(near <= 100 * radius, near, 1e9)

    for row in range(first):
        cost[row, second + rng.permutation(first)[:partners]] = outlier
        cost[row, second + row] = min(cost[row, second + row], 100 * outlier)
    for column in range(second):
        cost[first + rng.permutation(second)[:partners], column] = outlier
        cost[first + column, column] = min(cost[first + column, column], 100 * outlier)
    corner = cost[first:, second:]
    corner = corner.T if first < second else corner  # a view: the smaller number of rows
    for column in range(corner.shape[1]):
        corner[rng.permutation(len(corner))[:partners], column] = outlier
    rows, columns = linear_sum_assignment(cost)
    paired = (rows < first) & (columns < second)
    return paired.sum(), cost[rows, columns][paired].sum()


def test_berkeleys_assignment_approaches_ours():
    """With every outlier in reach it is ours; with a few drawn at random it loses pairs, as the
    published code does, which draws six by the clock."""
    lost = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth, predicted = rng.random((2, 12, 12)) < 0.3
        steps = np.subtract(
            *(np.unravel_index(p, truth.shape) for p in BoundaryMatcher(truth, 2).pairs(predicted))
        )
        ours = steps.shape[1], np.rint(100 * np.hypot(*steps)).sum()
        assert pairs_of_berkeley(predicted, truth, 2, 10**6, rng) == ours
        few, _ = pairs_of_berkeley(predicted, truth, 2, 3, rng)
        assert few <= ours[0]
        lost += ours[0] - few
    assert lost > 0


def test_plain_python_gives_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    truth, predicted = rng.random((2, 30, 30)) < 0.2
    compiled = BoundaryMatcher(truth, 2.5).match(predicted)
    monkeypatch.setattr(jit_module, 'have_numba', lambda: False)
    from bmtas.evaluation.boundaries import matching

    for name in ('list_edges', 'cheapest_matching'):
        plain = jit_module.jit()(getattr(matching, name).__wrapped__)
        monkeypatch.setattr(matching, name, plain)
    np.testing.assert_array_equal(BoundaryMatcher(truth, 2.5).match(predicted), compiled)


def test_numba_without_a_folder_for_its_cache(monkeypatch):
    numba = pytest.importorskip('numba')
    calls = []

    def njit(cache=False, nogil=False):
        calls.append(cache)
        if cache:
            raise RuntimeError('cannot cache function: no locator available')
        return lambda function: function

    monkeypatch.setattr(numba, 'njit', njit)
    assert jit_module.jit()(lambda x: x + 1)(1) == 2
    assert calls == [True, False]


@pytest.mark.parametrize('radius, pairs', [(0.9, 0), (1, 1), (1.41, 1), (1.42, 2)])
def test_distance_is_inclusive(radius, pairs):
    truth, predicted = np.zeros((2, 5, 5), bool)
    truth[0, 0] = truth[4, 4] = True
    predicted[0, 1] = predicted[3, 3] = True
    assert BoundaryMatcher(truth, radius).match(predicted).sum() == pairs
