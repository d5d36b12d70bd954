"""Strategies played on a table of trees: each looks things up, pays for them, and chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations

import numpy as np
from protocol import Outcome, Trial

from bmtas.branching import BranchingTree, vanilla_tree
from bmtas.search.bmn import GroupScores
from bmtas.search.fafs import sweep
from bmtas.search.gradient.decoding import PairRisk

Strategy = Callable[[Trial, np.random.Generator], Outcome | None]
"""None where the table has not what the strategy needs."""


def by_score(trial: Trial, score: np.ndarray, units: float) -> Outcome:
    """The tree of highest score up to each budget."""
    return Outcome(trial.best_up_to(score), np.full(len(trial.budgets), units), score)


def average(trial: Trial, rng: np.random.Generator) -> Outcome:
    """A random tree of equal cost, in expectation."""
    trees = np.zeros(len(trial.budgets), int)
    return Outcome(trees, np.zeros(len(trees)), values=trial.average)


def optimum(trial: Trial, rng: np.random.Generator) -> Outcome:
    return by_score(trial, trial.truth, np.inf)


def one_seed(trial: Trial, rng: np.random.Generator) -> Outcome:
    """All trees trained in full with one seed: the ceiling of what one seed can tell."""
    return by_score(trial, trial.gains(), trial.units.sum())


def best_of_random(count: int) -> Strategy:
    """The best of some random trees of equal cost, chosen on held-out samples, in expectation."""

    def run(trial: Trial, rng: np.random.Generator) -> Outcome:
        counts = np.full(len(trial.budgets), count)
        units = [count * trial.units[members].mean() for members in trial.classes]
        trees = np.zeros(len(counts), int)
        return Outcome(trees, np.array(units), values=trial.best_of_random(counts))

    return run


def vanilla(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """The first layers shared, the others separate; as many separate as the budget allows."""
    layers, tasks = trial.table.routes.shape[1], trial.table.tasks
    trees = [vanilla_tree(layers, tasks, shared) for shared in range(layers + 1)]
    return _dearest(trial, trees, 0.0)


def bmn(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """The tree of least dissimilar groups by the tasks' separate networks, whose price it is."""
    affinity = trial.signal('representation')
    if affinity is None:
        return None
    scores = GroupScores(affinity.astype(float))
    routes = trial.table.routes
    apart = sum(scores.table(routes[:, layer])[layer] for layer in range(routes.shape[1]))
    return by_score(trial, -apart, trial.units.max())


def fafs(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """The dearest tree allowed of the greedy sweep; the price of Shared."""
    affinity = trial.signal('difficulty')
    if affinity is None:
        return None
    alphas = [0.0, *np.geomspace(1e-2, 1e3, 201)]
    found = sweep(affinity, trial.signals['branch_costs'].tolist(), trial.table.tasks, alphas)
    return _dearest(trial, [tree for _, tree in found], 1.0)


def _dearest(trial: Trial, trees: Sequence[BranchingTree], units: float) -> Outcome | None:
    """For each budget the dearest of some trees that it allows; Shared where it allows none.

    None if one of the trees is not in the table.
    """
    score = np.full(len(trial.table.routes), -np.inf)
    numbers = [trial.table.index.get(tree) for tree in trees]
    if None in numbers:
        return None
    score[numbers] = trial.table.costs[numbers]
    shared = trial.table.costs.argmin()
    score[shared] = max(score[shared], 0)
    return by_score(trial, score, units)


def permuted(strategy: Strategy) -> Strategy:
    """The trees of a strategy with the tasks in other places, in expectation."""

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        outcome = strategy(trial, rng)
        values = []
        for tree in outcome.trees:
            others = _permutations(trial, trial.table.trees[tree]) - {tree}
            values.append(trial.truth[sorted(others) or [tree]].mean())
        return Outcome(outcome.trees, outcome.units, values=np.array(values))

    return run


def _permutations(trial: Trial, tree: BranchingTree) -> set[int]:
    """Numbers of the trees of the table that arise if tasks change places."""
    images = permutations(tree.tasks)
    trees = (tree.permuted(dict(zip(tree.tasks, image))) for image in images)
    return {trial.table.index[other] for other in trees if other in trial.table.index}


def two_task(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """TreeMTL's score: losses of two-task networks at the pairs' branching points, added up.

    A two-task network is found in the table as the tree where all other tasks are alone. That holds
    where tasks that share no layer do not touch each other at all, which ``fixed_cost`` 0 stands
    for: no stem.
    """
    table = trial.table
    if table.fixed_cost:
        return None
    num_layers, num_tasks = table.routes.shape[1:]
    losses, score, updates = trial.losses(), np.zeros(len(table.routes)), 0.0
    for i, j in combinations(range(num_tasks), 2):
        shared = (table.routes[:, :, i] == table.routes[:, :, j]).sum(1)
        for depth in range(num_layers + 1):
            routes = np.tile(np.arange(num_tasks), (num_layers, 1))
            routes[:depth, j] = i
            number = table.index[BranchingTree.from_routes(routes, table.tasks)]
            score[shared == depth] -= losses[number, [i, j]].sum()
            updates += (2 * table.layer_costs.sum() - table.layer_costs[:depth].sum()) * (depth > 0)
    updates += num_tasks * table.layer_costs.sum()
    return by_score(trial, score, updates / table.costs.min())


def bmtas_argmax(variant: str, every: int = 1) -> Strategy:
    """As in the paper: the tree of the largest alphas for each lambda; the dearest allowed.

    Args:
        variant: Name of the variant.
        every: Take every lambda, or every second one, which halves the price.
    """

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        searches = trial.searches_of(variant, every)
        if searches is None:
            return None
        return _dearest(trial, searches.trees, searches.units.sum())

    return run


def bmtas_decoded(variant: str, which: int | None = None, every: int = 1) -> Strategy:
    """The tree of least expected wrong decisions about pairs.

    Args:
        variant, every: See ``bmtas_argmax``.
        which: One lambda by its number; None: all are searched, and each budget takes the search
            whose own tree is nearest to it in cost.
    """

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        searches = trial.searches_of(variant, every)
        if searches is None:
            return None
        scores = -np.stack([_risk(trial.table.routes, shared) for shared in searches.shared])
        if which is not None:
            return by_score(trial, scores[which], searches.units[which])
        costs = (searches.routes.max(2) + 1) @ trial.table.layer_costs + trial.table.fixed_cost
        nearest = np.abs(costs - trial.budgets[:, None]).argmin(1)
        trees = [trial.best_up_to(scores[n])[number] for number, n in enumerate(nearest)]
        return Outcome(np.array(trees), np.full(len(trees), searches.units.sum()))

    return run


def _risk(routes: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Expected number of wrong decisions (N,) of trees, see ``search.gradient.decoding``."""
    risk = PairRisk(shared)
    return sum(risk.table(routes[:, layer])[layer] for layer in range(routes.shape[1]))
