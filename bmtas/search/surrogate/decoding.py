"""From a surrogate to trees, with what its posterior says about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from bmtas.branching import MAX_ITEMS, BranchingTree, TreeFront, tree_front
from bmtas.search.surrogate.model import Surrogate


def cautious(surrogate: Surrogate, front: TreeFront, budget: float) -> int:
    """The cheapest tree of a front within one deviation of the best one under the budget.

    Args:
        surrogate: Of the front's scores.
        front: Of the surrogate.
        budget: Cost of the locations, without stem and heads.

    Returns:
        Index into the front.
    """
    best = front.best(budget)
    routes = np.array([front.tree(index).routes for index in range(best + 1)])
    lost = front.scores[: best + 1] - front.scores[best]
    near = lost <= surrogate.deviation(routes, routes[best])
    return int(np.flatnonzero(near)[0])


def pair_certainty(
    surrogate: Surrogate, costs: Sequence[float], budget: float, count: int = 200, seed: int = 0
) -> np.ndarray:
    """How often two tasks share a location in the best trees of posterior draws.

    Args:
        surrogate: The fit.
        costs: (D,) of one copy of each location.
        budget: Of the locations.
        count: Number of draws.
        seed: Of the draws.

    Returns:
        (D, T, T), shares from 0 to 1; 1 on the diagonal.
    """
    total = 0
    for tree in _drawn_trees(surrogate, costs, budget, count, seed):
        total = total + (tree.routes[:, :, None] == tree.routes[:, None, :])
    return total / count


def contenders(
    surrogate: Surrogate,
    costs: Sequence[float],
    budget: float,
    count: int,
    seed: int = 0,
    draws: int = 50,
) -> list[BranchingTree]:
    """Up to ``count`` distinct trees: the best one, then those that most draws find best."""
    best = _best_tree(surrogate, costs, budget)
    votes = {best: draws + 1}
    for tree in _drawn_trees(surrogate, costs, budget, draws, seed):
        votes[tree] = votes.get(tree, 0) + 1
    return sorted(votes, key=votes.get, reverse=True)[:count]


def promising(
    surrogate: Surrogate,
    costs: Sequence[float],
    budget: float,
    count: int,
    seed: int | Sequence[int],
    known: Collection[BranchingTree] = (),
) -> list[BranchingTree]:
    """Up to ``count`` new trees that posterior draws find best (Thompson sampling).

    Args:
        surrogate: The fit.
        costs: (D,) of one copy of each location.
        budget: Of the locations.
        count: How many; five times as many draws are made at most.
        seed: Of the draws.
        known: Trees that are not wanted.
    """
    found: dict[BranchingTree, None] = {}
    for tree in _drawn_trees(surrogate, costs, budget, 5 * count, seed):
        if tree not in known and len(found) < count:
            found[tree] = None
    return list(found)


def _drawn_trees(
    surrogate: Surrogate,
    costs: Sequence[float],
    budget: float,
    count: int,
    seed: int | Sequence[int],
) -> Iterator[BranchingTree]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield _best_tree(surrogate.draw(rng), costs, budget)


def _best_tree(surrogate: Surrogate, costs: Sequence[float], budget: float) -> BranchingTree:
    tasks = [f'task{t}' for t in range(surrogate.num_tasks)]
    front = tree_front(costs, surrogate, tasks, 'dp' if len(tasks) <= MAX_ITEMS else 'beam')
    return front.tree(front.best(budget))
