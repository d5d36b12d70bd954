"""Dynamic programming against listing all trees."""

from types import SimpleNamespace

import numpy as np
import pytest

from bmtas.branching import (
    BranchingTree,
    enumerate_trees,
    optimal_tree,
    partition_scores,
    tree_front,
)
from bmtas.branching.partitions import all_partitions, num_blocks


def random_case(num_layers, num_tasks, seed):
    rng = np.random.default_rng(seed)
    costs = rng.integers(1, 60, num_layers)
    # fewer groups score worse on average, as in every sensible use
    scores = rng.random((num_layers, len(all_partitions(num_tasks)))) - 0.1 * num_blocks(num_tasks)
    return costs, scores


@pytest.mark.parametrize('num_tasks, num_layers', [(1, 3), (2, 9), (3, 7), (4, 1), (4, 5), (4, 7)])
@pytest.mark.parametrize('seed', range(4))
def test_front_equals_listing_all_trees(num_tasks, num_layers, seed):
    costs, scores = random_case(num_layers, num_tasks, seed)
    front, oracle = (tree_front(costs, scores, method=m) for m in ('dp', 'exhaustive'))
    assert np.array_equal(front.costs, oracle.costs)
    assert np.array_equal(front.scores, oracle.scores)
    assert np.all(np.diff(front.costs) > 0) and np.all(np.diff(front.scores) < 0)
    for index in range(len(front)):
        tree = front.tree(index)
        assert sum(c * n for c, n in zip(costs, tree.num_groups)) == front.costs[index]
        chain = front.chains[index]
        assert scores[np.arange(num_layers), chain].sum() == pytest.approx(front.scores[index])


@pytest.mark.slow
def test_front_equals_listing_all_trees_of_five_tasks(mobilenet_pascal):
    costs = np.array(mobilenet_pascal.layers)
    scores = random_case(18, 5, 0)[1]
    front, oracle = (tree_front(costs, scores, method=m) for m in ('dp', 'exhaustive'))
    assert np.array_equal(front.costs, oracle.costs)
    assert np.array_equal(front.scores, oracle.scores)


def test_score_as_a_function_against_a_plain_loop():
    affinity = np.random.default_rng(0).random((3, 4, 4))

    def score(layer, groups):
        return sum(affinity[layer, i, j] for group in groups for i in group for j in group if i < j)

    tasks, costs, budget = ('a', 'b', 'c', 'd'), (3.5, 2.0, 4.0), 25.0
    table = SimpleNamespace(stem=0, layers=costs, heads=dict.fromkeys(tasks, 0))

    def total(tree):
        groups = [[[tasks.index(n) for n in group] for group in layer] for layer in tree.groups]
        return sum(score(layer, group) for layer, group in enumerate(groups))

    allowed = [tree for tree in enumerate_trees(3, tasks) if tree.cost(table) <= budget]
    best = min(allowed, key=total)
    for method in ('dp', 'exhaustive', 'beam'):
        assert optimal_tree(costs, score, budget, tasks, method, beam_width=500) == best
    with pytest.raises(ValueError, match='tasks must be named'):
        optimal_tree(costs, score, budget)


def test_budget_at_its_extremes():
    costs, _ = random_case(6, 4, 0)
    scores = partition_scores(lambda layer, groups: 4 - len(groups), 6, 4)
    tasks = ('a', 'b', 'c', 'd')
    assert optimal_tree(costs, scores, costs.sum(), tasks) == BranchingTree.shared(6, tasks)
    assert optimal_tree(costs, scores, 4 * costs.sum(), tasks) == BranchingTree.separate(6, tasks)
    for method in ('dp', 'exhaustive', 'beam'):
        with pytest.raises(ValueError, match='no tree costs at most'):
            optimal_tree(costs, scores, costs.sum() - 1, tasks, method)


@pytest.mark.parametrize('seed', range(5))
def test_beam_meets_the_budget_and_never_beats_the_optimum(seed):
    costs, scores = random_case(8, 4, seed)
    front = tree_front(costs, scores)
    for budget in (1.3 * costs.sum(), 2.2 * costs.sum()):
        reached = []
        for width in (1, 5, 100_000):
            tree = optimal_tree(costs, scores, budget, method='beam', beam_width=width)
            assert sum(c * n for c, n in zip(costs, tree.num_groups)) <= budget
            chain = [np.flatnonzero((all_partitions(4) == row).all(1))[0] for row in tree.routes]
            reached.append(scores[np.arange(8), chain].sum())
        assert min(reached) >= front.scores[front.best(budget)] - 1e-12
        assert reached[-1] == pytest.approx(front.scores[front.best(budget)])


@pytest.mark.parametrize(
    'arguments, message',
    [
        (([1, 2], np.zeros((2, 4)), 9), 'scores must be finite'),
        (([1, 2], np.zeros((3, 5)), 9), r'\(2, 5\) for 3 tasks, got an array of \(3, 5\)'),
        (([1, 2], np.full((2, 5), np.nan), 9), 'scores must be finite'),
        (([1, -2], np.zeros((2, 5)), 9), 'costs must be'),
        (([1, 2], np.zeros((2, 5)), 9, None, 'greedy'), "unknown method 'greedy'"),
        (([1, 2], np.zeros((2, 5)), 9, None, 'beam', 0), 'beam_width must be positive'),
    ],
)
def test_faulty_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        optimal_tree(*arguments)
