"""The best tree under a budget, for any score that adds up over layers.

A tree is a chain of partitions, each refining the one before. Its cost is the sum over layers of
the layer's cost times its number of groups; its score, to be minimised, a sum over layers of a
number that depends on the layer's partition alone. What may follow a partition depends on the
partition alone, so dynamic programming over (layer, partition) that keeps the Pareto front of
(cost, score) of the partial trees finds the best tree for every budget at once, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bmtas.branching._dynamic_programming import front_of_all_trees, pareto
from bmtas.branching.enumeration import tree_chains
from bmtas.branching.partitions import MAX_ITEMS, all_partitions, num_blocks, refinements
from bmtas.branching.tree import BranchingTree

METHODS = ('dp', 'exhaustive', 'beam')

Scores = np.ndarray | Callable[[int, tuple[tuple[int, ...], ...]], float]
"""(L, Bell) array in the order of ``all_partitions``, or ``score(layer, groups)`` with groups of
task numbers."""


@dataclass(frozen=True)
class TreeFront:
    """The trees that are not dominated: no other is both as cheap and of as low a score.

    Attributes:
        costs: (P,) rising; cost of the searched layers, without stem and heads.
        scores: (P,) falling.
        chains: (P, L) partition of each layer, an index into ``all_partitions``.
        tasks: Task names.
    """

    costs: np.ndarray
    scores: np.ndarray
    chains: np.ndarray
    tasks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.costs)

    def tree(self, index: int) -> BranchingTree:
        return BranchingTree.from_routes(
            all_partitions(len(self.tasks))[self.chains[index]], self.tasks
        )

    def best(self, budget: float) -> int:
        """Index of the tree of lowest score that costs at most ``budget``.

        Raises:
            ValueError: Even the cheapest tree costs more.
        """
        index = int(np.searchsorted(self.costs, budget, 'right')) - 1
        if index < 0:
            raise ValueError(
                f'no tree costs at most {budget:,}: the cheapest costs {self.costs[0].item():,}'
            )
        return index


def optimal_tree(
    costs: Sequence[float],
    scores: Scores,
    budget: float,
    tasks: Sequence[str] | None = None,
    method: str = 'dp',
    beam_width: int = 50,
) -> BranchingTree:
    """The tree of lowest score whose layers cost at most ``budget``.

    Args:
        costs: (L,) cost of one copy of each layer; integers are summed exactly.
        scores: Score of each partition in each layer, see ``Scores``.
        budget: In the unit of ``costs``, for the searched layers alone (no stem, no heads).
        tasks: Up to nine names; may be left out if ``scores`` is an array.
        method: 'dp' (exact), 'exhaustive' (exact, lists all trees: small cases) or 'beam' (keeps
            the ``beam_width`` best partial trees that can still meet the budget; not exact).

    Raises:
        ValueError: No tree meets the budget, or sizes do not fit.
    """
    if method == 'beam':
        costs, table, tasks = _prepare(costs, scores, tasks)
        front = _beam(costs, table, tasks, budget, beam_width)
    else:
        front = tree_front(costs, scores, tasks, method)
    return front.tree(front.best(budget))


def tree_front(
    costs: Sequence[float], scores: Scores, tasks: Sequence[str] | None = None, method: str = 'dp'
) -> TreeFront:
    """The best trees for every budget at once; arguments as in ``optimal_tree``."""
    costs, table, tasks = _prepare(costs, scores, tasks)
    if method == 'dp':
        return TreeFront(*front_of_all_trees(costs, table, len(tasks)), tasks)
    if method == 'exhaustive':
        chains = tree_chains(len(costs), len(tasks))
        return _front(costs, table, tasks, chains)
    raise ValueError(f"unknown method {method!r}, choose from ('dp', 'exhaustive')")


def partition_scores(
    score: Callable[[int, tuple[tuple[int, ...], ...]], float], num_layers: int, num_tasks: int
) -> np.ndarray:
    """Tabulate ``score(layer, groups)`` for all partitions, (L, Bell)."""
    groups = [
        tuple(tuple(np.flatnonzero(row == block).tolist()) for block in range(row.max() + 1))
        for row in all_partitions(num_tasks)
    ]
    return np.array([[score(layer, group) for group in groups] for layer in range(num_layers)])


def _prepare(
    costs: Sequence[float], scores: Scores, tasks: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Costs (L,), scores (L, Bell) and task names, checked."""
    costs = np.asarray(costs)
    if costs.ndim != 1 or not len(costs) or (costs < 0).any():
        raise ValueError('costs must be one number >= 0 for each layer')
    if callable(scores):
        if tasks is None:
            raise ValueError('tasks must be named where scores is a function')
        scores = partition_scores(scores, len(costs), len(tasks))
    scores = np.asarray(scores, dtype=np.float64)
    if tasks is None:
        sizes = {len(all_partitions(num)): num for num in range(1, MAX_ITEMS + 1)}
        tasks = [f'task{t}' for t in range(sizes.get(scores.shape[-1], 1))]
    expected = (len(costs), len(all_partitions(len(tasks))))
    if scores.shape != expected or not np.isfinite(scores).all():
        raise ValueError(
            f'scores must be finite, one for each layer and partition: {expected} for '
            f'{len(tasks)} tasks, got an array of {scores.shape}'
        )
    return costs, scores, tuple(tasks)


def _front(
    costs: np.ndarray, scores: np.ndarray, tasks: tuple[str, ...], chains: np.ndarray
) -> TreeFront:
    """Front of the given trees, (N, L) chains of partitions."""
    blocks = num_blocks(len(tasks))
    cost, score = np.zeros(len(chains), costs.dtype), np.zeros(len(chains))
    for layer in range(len(costs)):
        cost = cost + costs[layer] * blocks[chains[:, layer]]
        score = score + scores[layer, chains[:, layer]]
    best = pareto(np.zeros(len(chains), np.int64), cost, score)
    return TreeFront(cost[best], score[best], chains[best], tasks)


def _beam(
    costs: np.ndarray, scores: np.ndarray, tasks: tuple[str, ...], budget: float, width: int
) -> TreeFront:
    """From the first layer on, the ``width`` partial trees of lowest score.

    Those that cannot meet the budget even without a further split are left out.
    """
    if width < 1:
        raise ValueError(f'beam_width must be positive, got {width}')
    blocks = num_blocks(len(tasks))
    coarse, fine = refinements(len(tasks))
    chains, cost, score = np.zeros((1, 1), np.int64), np.zeros(1, costs.dtype), np.zeros(1)
    for layer, price in enumerate(costs):
        starts = np.searchsorted(coarse, chains[:, -1])
        counts = np.searchsorted(coarse, chains[:, -1], 'right') - starts
        parent = np.repeat(np.arange(len(chains)), counts)
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        state = fine[starts[parent] + offsets]
        cost = cost[parent] + price * blocks[state]
        score = score[parent] + scores[layer, state]
        feasible = np.flatnonzero(cost + blocks[state] * costs[layer + 1 :].sum() <= budget)
        kept = feasible[np.lexsort((cost[feasible], score[feasible]))[:width]]
        chains = np.column_stack([chains[parent[kept]], state[kept]])
        cost, score = cost[kept], score[kept]
    if not len(chains):
        raise ValueError(f'no tree costs at most {budget:,}: the cheapest costs {costs.sum():,}')
    return _front(costs, scores, tasks, chains[:, 1:])
