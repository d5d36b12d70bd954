"""The beam search for many tasks: against all partitions, against a planted tree."""

import numpy as np
import pytest

from bmtas.branching import BranchingTree, candidate_partitions, optimal_tree, tree_front
from bmtas.branching._beam import ListedScores, refinement_covers
from bmtas.branching._dynamic_programming import _thinned
from bmtas.branching.clustering import canonical, spectral_clusters
from bmtas.branching.partitions import all_partitions, num_blocks, refinements


@pytest.mark.parametrize('num_tasks, num_layers', [(1, 2), (2, 4), (3, 7), (4, 6), (5, 5)])
def test_with_all_partitions_kept_the_front_is_exact(num_tasks, num_layers):
    rng = np.random.default_rng(num_tasks)
    costs = rng.integers(1, 60, num_layers)
    scores = rng.random((num_layers, len(all_partitions(num_tasks)))) - 0.1 * num_blocks(num_tasks)
    found = tree_front(costs, scores, method='beam', beam_width=1000)
    exact = tree_front(costs, scores)
    assert np.array_equal(found.costs, exact.costs)
    np.testing.assert_allclose(found.scores, exact.scores, rtol=1e-12)
    assert len(found.partitions) == len(all_partitions(num_tasks))


def test_covers_are_the_refinements_without_one_in_between():
    blocks = num_blocks(5)
    order = np.argsort(blocks, kind='stable')
    coarse, fine = refinement_covers(all_partitions(5)[order].astype(int))
    found = set(zip(order[coarse].tolist(), order[fine].tolist()))
    pairs = zip(*(x.tolist() for x in refinements(5)))
    assert found == {(c, f) for c, f in pairs if blocks[f] == blocks[c] + 1}
    # with a gap: the shared tree, the separate one, and one that both are next to
    rows = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 3]])
    assert list(zip(*refinement_covers(rows))) == [(0, 1), (1, 2)]


def test_width_bounds_the_candidates_and_every_one_hangs_together():
    rng = np.random.default_rng(0)
    # four layers and as many sums from either end: twelve criteria
    scores = ListedScores(rng.random((4, len(all_partitions(7)))), 7)
    rows = candidate_partitions(scores, 12)
    assert np.array_equal(canonical(rows), rows)
    counts = np.bincount(rows.max(1) + 1, minlength=8)
    assert counts[1] == counts[7] == 1 and counts.max() == 12
    # the best partition of each layer for six groups is one merge away from the singletons
    listed = all_partitions(7)[num_blocks(7) == 6].astype(int)
    for values in scores.table(listed):
        assert (rows == listed[values.argmin()]).all(1).any()


def test_thinning_keeps_the_cheapest_and_the_best_of_each_range():
    state = np.array([0] * 10 + [1] * 2 + [2])
    cost = np.array([*range(10), 5, 9, 3])
    kept = _thinned(state, cost, 4)
    # three ranges of 3: costs 0..2, 3..5, 6..9, of each the dearest, which has the lowest score
    assert cost[kept[state[kept] == 0]].tolist() == [0, 2, 5, 9]
    assert cost[kept[state[kept] != 0]].tolist() == [5, 9, 3]
    assert len(_thinned(state, cost, 10)) == 13


def planted(num_layers, num_tasks, seed):
    """A tree, and for each layer which pairs of tasks it separates, (L, T, T) bool."""
    rng = np.random.default_rng(seed)
    routes = np.zeros((num_layers, num_tasks), int)
    for layer in range(num_layers):
        before = routes[layer - 1] if layer else np.zeros(num_tasks, int)
        routes[layer] = 2 * before + (rng.random(num_tasks) < 0.5) * (layer % 2 == 1)
    tree = BranchingTree.from_routes(routes, [f't{i}' for i in range(num_tasks)])
    return tree, tree.routes[:, :, None] != tree.routes[:, None, :]


@pytest.mark.parametrize('num_tasks', [10, 12])
def test_finds_a_planted_tree_by_a_plain_score(num_tasks):
    """Only refinements of the planted tree score 0, and all others of these cost more."""
    tree, apart = planted(4, num_tasks, seed=num_tasks)
    costs = [7, 5, 3, 6]

    def score(layer, groups):
        return sum(int(apart[layer][np.ix_(group, group)].sum()) for group in groups)

    budget = sum(c * n for c, n in zip(costs, tree.num_groups))
    assert optimal_tree(costs, score, budget, tree.tasks, 'beam', beam_width=3) == tree
    cheaper = tree_front(costs, score, tree.tasks, 'beam', beam_width=3)
    assert cheaper.scores[cheaper.best(budget - 1)] > 0
    with pytest.raises(ValueError, match='no tree costs at most 20: the cheapest costs 21'):
        optimal_tree(costs, score, 20, tree.tasks, 'beam', beam_width=3)


def test_more_than_nine_tasks_are_refused_by_the_exact_methods():
    names = [f't{i}' for i in range(10)]
    with pytest.raises(ValueError, match="up to 9 tasks only, there are 10: method 'beam'"):
        tree_front([1], lambda layer, groups: 0.0, names)
    with pytest.raises(ValueError, match='tasks must be named'):
        tree_front([1], lambda layer, groups: 0.0, method='beam')
    with pytest.raises(ValueError, match='scores must be finite'):
        tree_front([1], lambda layer, groups: np.nan, names, 'beam', beam_width=1)


def test_spectral_clusters_of_three_cliques():
    labels = np.array([0, 1, 2, 1, 0, 2, 2, 0, 1, 0])
    affinity = np.where(labels[:, None] == labels, 0.9, 0.1)
    np.fill_diagonal(affinity, 1)
    assert spectral_clusters(affinity, 3).tolist() == labels.tolist()
    assert spectral_clusters(affinity, 1).tolist() == [0] * 10
    assert spectral_clusters(affinity, 10).tolist() == list(range(10))
    with pytest.raises(ValueError, match='11 clusters of 10 items'):
        spectral_clusters(affinity, 11)


def test_canonical():
    rows = np.array([[5, 2, 5, 0], [3, 3, 3, 1]])
    assert canonical(rows).tolist() == [[0, 1, 0, 2], [0, 0, 0, 1]]
