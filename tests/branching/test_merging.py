from types import SimpleNamespace

import numpy as np
import pytest

from bmtas.branching import BranchingTree, MergedTrees, TreesAtCost, enumerate_trees, trees_at_cost
from bmtas.search.surrogate import design_trees


def test_every_tree_of_the_window_is_drawn_and_no_other():
    table = SimpleNamespace(stem=2, layers=(3.5, 1.0, 2.0), heads=dict.fromkeys('abcd', 1.0))
    near = {tree for tree in enumerate_trees(3, 'abcd') if abs(tree.cost(table) - 20) <= 2}
    trees = MergedTrees(table, 'abcd', 20, 0.1)
    assert {trees.sample(seed) for seed in range(30 * len(near))} == near
    assert trees.sample(3) == trees.sample(3)


@pytest.mark.parametrize('target', [1.3, 2.5, 7.9])
def test_trees_of_twelve_tasks_cost_what_was_asked(target):
    tasks = [f't{i}' for i in range(12)]
    layers = np.random.default_rng(0).integers(10_000, 90_000, 18).tolist()
    table = SimpleNamespace(stem=5_000, layers=layers, heads=dict.fromkeys(tasks, 300))
    goal = target * sum(layers)
    trees = trees_at_cost(table, tasks, goal)
    assert isinstance(trees, MergedTrees)
    drawn = {trees.sample(seed) for seed in range(6)}
    assert len(drawn) == 6
    for tree in drawn:
        assert abs(tree.cost(table) - goal) <= 0.02 * goal
        assert (np.diff(tree.num_groups) >= 0).all()


def test_the_ends_can_be_drawn_and_what_is_beyond_is_refused():
    tasks = [f't{i}' for i in range(9)]
    table = SimpleNamespace(stem=0, layers=[0.1, 0.2, 0.7], heads=dict.fromkeys(tasks, 0))
    assert MergedTrees(table, tasks, 1.0, 0.0).sample() == BranchingTree.shared(3, tasks)
    assert MergedTrees(table, tasks, 9.0, 0.0).sample() == BranchingTree.separate(3, tasks)
    for goal in (0.5, 9.5):
        with pytest.raises(ValueError, match=r'no tree costs .*; trees cost 1.0 to 9.0'):
            MergedTrees(table, tasks, goal)
    with pytest.raises(ValueError, match='larger tolerance'):
        MergedTrees(table, tasks, 1.05, 0.001).sample()


def test_few_tasks_are_drawn_uniformly_and_designs_take_any_number_of_them():
    table = SimpleNamespace(stem=0, layers=[1, 2], heads=dict.fromkeys('abc', 0))
    assert isinstance(trees_at_cost(table, 'abc', 6, 0.2), TreesAtCost)
    routes = design_trees([1.0, 2.0, 3.0], 11, 20, seed=0)
    costs = (routes.max(2) + 1) @ [1.0, 2.0, 3.0]
    assert routes.shape == (20, 3, 11) and len({r.tobytes() for r in routes}) == 20
    assert costs.min() == 6 and costs.max() == 66 and 20 < np.median(costs) < 55
