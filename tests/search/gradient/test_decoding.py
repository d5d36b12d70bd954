"""Trees of least risk: against sampling, against all trees, and for more tasks than are listed."""

import numpy as np
import pytest
import torch

from bmtas.branching import BranchingTree, enumerate_trees
from bmtas.resources import Costs, ResourceTable
from bmtas.search.gradient.decoding import PairRisk, risk_front, sharing_probability

COSTS = (7, 2, 3)


def table(tasks, costs=COSTS):
    heads = dict.fromkeys(tasks, 5)
    names = tuple(f'l{i}' for i in range(len(costs)))
    options = dict(unit='MAdds', convention='mac', input_size=(2, 2), backbone='')
    params = Costs(0, costs, heads)
    return ResourceTable(10, costs, heads, layer_names=names, params=params, **options)


def logits(layers, tasks, candidates, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(layers, tasks, candidates, generator=generator)


def test_probabilities_are_those_of_drawn_trees():
    alpha = logits(3, 3, 4)
    shared = sharing_probability(alpha)
    generator = torch.Generator().manual_seed(1)
    draws = [
        torch.multinomial(row.softmax(-1), 20000, True, generator=generator)
        for row in alpha.double()
    ]
    together = torch.ones(3, 3, 20000, dtype=torch.bool)
    for layer, draw in enumerate(draws):
        together &= draw[:, None] == draw[None]
        torch.testing.assert_close(together.double().mean(-1), shared[layer], rtol=0, atol=0.015)
    assert shared.diagonal(dim1=1, dim2=2).eq(1).all()


def wrong_decisions(tree, shared):
    """Expected number of wrong decisions, decision by decision."""
    total = 0.0
    for layer, row in enumerate(tree.routes):
        for i in range(len(row)):
            for j in range(i):
                p = float(shared[layer, i, j])
                total += 1 - p if row[i] == row[j] else p
    return total


@pytest.mark.parametrize('seed', range(3))
def test_front_is_that_of_all_trees(seed):
    tasks = ('a', 'b', 'c', 'd')
    shared = sharing_probability(logits(3, 4, 4, seed)).numpy()
    resources = table(tasks)
    trees = list(enumerate_trees(3, tasks))
    costs = np.array([tree.cost(resources) for tree in trees])
    risks = np.array([wrong_decisions(tree, shared) for tree in trees])
    front = risk_front(shared, resources)
    assert list(front.costs) == sorted(set(front.costs))
    for cost, score, tree in zip(front.costs, front.scores, front.trees):
        assert tree.cost(resources) == cost
        assert score == pytest.approx(wrong_decisions(tree, shared))
    for budget in np.unique(costs):
        best = risks[costs <= budget].min()
        assert front.scores[front.best(budget)] == pytest.approx(best)
    assert front.scores[front.best()] == pytest.approx(risks.min())


def test_decided_alpha_gives_the_likeliest_tree():
    alpha = torch.full((3, 4, 4), -30.0)
    routes = torch.tensor([[0, 0, 0, 1], [2, 2, 2, 2], [0, 1, 0, 3]])
    alpha.scatter_(2, routes[..., None], 30.0)
    front = risk_front(sharing_probability(alpha).numpy(), table(('a', 'b', 'c', 'd')))
    assert front.trees[-1] == BranchingTree.from_routes(routes, ('a', 'b', 'c', 'd'))
    assert front.scores[-1] == pytest.approx(0, abs=1e-9)


def test_many_tasks_by_beam():
    """Twelve tasks of three kinds: their tree is found where it fits."""
    tasks = tuple(f't{i}' for i in range(12))
    kinds = torch.arange(12) % 3
    alpha = 4.0 * torch.nn.functional.one_hot(kinds, 4).float().expand(3, 12, 4)
    front = risk_front(sharing_probability(alpha).numpy(), table(tasks))
    wanted = BranchingTree.from_routes(kinds.expand(3, 12), tasks)
    assert front.trees[front.best(wanted.cost(table(tasks)))] == wanted


def test_scores_do_not_depend_on_how_many_partitions_are_asked_for():
    shared = sharing_probability(logits(2, 5, 5)).numpy()
    rows = np.random.default_rng(0).integers(0, 3, (600, 5))
    whole = PairRisk(shared).table(rows)
    np.testing.assert_allclose(whole[:, 300:310], PairRisk(shared).table(rows[300:310]))
