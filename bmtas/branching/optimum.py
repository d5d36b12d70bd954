"""The best tree under a budget, for any score that adds up over layers.

A tree is a chain of partitions, each refining the one before. Its cost is the sum over layers of
the layer's cost times its number of groups; its score, to be minimised, a sum over layers of a
number that depends on the layer's partition alone. What may follow a partition depends on the
partition alone, so dynamic programming over (layer, partition) that keeps the Pareto front of
(cost, score) of the partial trees finds the best tree for every budget at once, exactly.

Where there are too many partitions (more than nine tasks), a beam search collects promising ones
and the same program runs over trees of these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bmtas.branching._beam import (
    CalledScores,
    ListedScores,
    PartitionScores,
    candidate_partitions,
    refinement_covers,
)
from bmtas.branching._dynamic_programming import front_of_all_trees, front_of_trees
from bmtas.branching.enumeration import tree_chains
from bmtas.branching.pareto import pareto_front
from bmtas.branching.partitions import MAX_ITEMS, all_partitions, num_blocks
from bmtas.branching.tree import BranchingTree

FRONT_METHODS = ('dp', 'exhaustive', 'beam')

Scores = np.ndarray | Callable[[int, tuple[tuple[int, ...], ...]], float] | PartitionScores
"""(L, Bell) array in the order of ``all_partitions``; or ``score(layer, groups)`` with groups of
task numbers; or an object that scores many partitions at once, which is faster for many tasks."""

ENTRIES = 200_000
"""Partial trees that the beam search holds in each layer, at most; this bounds time and memory."""


@dataclass(frozen=True)
class TreeFront:
    """The trees that are not dominated: no other is both as cheap and of as low a score.

    Attributes:
        costs: (P,) rising; cost of the searched layers, without stem and heads.
        scores: (P,) falling.
        chains: (P, L) partition of each layer, an index into ``partitions``.
        tasks: Task names.
        partitions: (N, T); all of them by default.
    """

    costs: np.ndarray
    scores: np.ndarray
    chains: np.ndarray
    tasks: tuple[str, ...]
    partitions: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.costs)

    def tree(self, index: int) -> BranchingTree:
        """The tree at a place of the front."""
        partitions = self.partitions
        if partitions is None:
            partitions = all_partitions(len(self.tasks))
        return BranchingTree.from_routes(partitions[self.chains[index]], self.tasks)

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
        tasks: Names; may be left out if ``scores`` is an array.
        method: 'dp' (exact, up to nine tasks), 'exhaustive' (exact, lists all trees: small cases)
            or 'beam' (any number of tasks, not exact), see ``tree_front``.
        beam_width: Of the beam search.

    Raises:
        ValueError: No tree meets the budget, or sizes do not fit.
    """
    front = tree_front(costs, scores, tasks, method, beam_width)
    return front.tree(front.best(budget))


def tree_front(
    costs: Sequence[float],
    scores: Scores,
    tasks: Sequence[str] | None = None,
    method: str = 'dp',
    beam_width: int = 50,
) -> TreeFront:
    """The best trees for every budget at once; arguments as in ``optimal_tree``.

    With 'beam' they are the best of those whose partitions are among ``beam_width`` promising ones
    for each number of groups, found by merging groups from the single tasks on and by spectral
    clustering. If that is all partitions, the front is exact; how far from it a beam is, measures
    ``benchmarks/tree_optimum.py --beam``.
    """
    if method not in FRONT_METHODS:
        raise ValueError(f'unknown method {method!r}, choose from {FRONT_METHODS}')
    costs = np.asarray(costs)
    if costs.ndim != 1 or not len(costs) or (costs < 0).any():
        raise ValueError('costs must be one number >= 0 for each layer')
    if method == 'beam':
        return _beam_front(costs, scores, tasks, beam_width)
    table, tasks = _tabulated(costs, scores, tasks)
    if method == 'dp':
        return TreeFront(*front_of_all_trees(costs, table, len(tasks)), tasks)
    return _front(costs, table, tasks, tree_chains(len(costs), len(tasks)))


def partition_scores(
    score: Callable[[int, tuple[tuple[int, ...], ...]], float], num_layers: int, num_tasks: int
) -> np.ndarray:
    """Tabulate ``score(layer, groups)`` for all partitions, (L, Bell)."""
    groups = [
        tuple(tuple(np.flatnonzero(row == block).tolist()) for block in range(row.max() + 1))
        for row in all_partitions(num_tasks)
    ]
    return np.array([[score(layer, group) for group in groups] for layer in range(num_layers)])


def _tabulated(
    costs: np.ndarray, scores: Scores, tasks: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scores (L, Bell) and task names, checked."""
    if tasks is not None and len(tasks) > MAX_ITEMS:
        raise ValueError(
            f'all partitions are listed for up to {MAX_ITEMS} tasks only, there are {len(tasks)}: '
            "method 'beam' takes more"
        )
    if hasattr(scores, 'table'):
        scores = scores.table(all_partitions(scores.num_tasks).astype(np.int64))
    elif callable(scores):
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
    return scores, tuple(tasks)


def _beam_front(
    costs: np.ndarray, scores: Scores, tasks: Sequence[str] | None, width: int
) -> TreeFront:
    """The front of the trees of promising partitions."""
    if width < 1:
        raise ValueError(f'beam_width must be positive, got {width}')
    if callable(scores):
        if tasks is None:
            raise ValueError('tasks must be named where scores is a function')
        scores = CalledScores(scores, len(costs), len(tasks))
    elif not hasattr(scores, 'table'):
        table, tasks = _tabulated(costs, scores, tasks)
        scores = ListedScores(table, len(tasks))
    if tasks is None:
        tasks = [f'task{t}' for t in range(scores.num_tasks)]
    rows = candidate_partitions(scores, width)
    table = scores.table(rows)
    if table.shape != (len(costs), len(rows)) or len(tasks) != rows.shape[1]:
        raise ValueError(
            f'scores are for {len(table)} layers and {rows.shape[1]} tasks, not for {len(costs)} '
            f'layers and {len(tasks)} tasks'
        )
    if not np.isfinite(table).all():
        raise ValueError('scores must be finite')
    limit = max(2, ENTRIES // len(rows))
    covers = refinement_covers(rows)
    found = front_of_trees(costs, table, rows.max(1) + 1, covers, limit)
    return TreeFront(*found, tuple(tasks), rows)


def _front(
    costs: np.ndarray, scores: np.ndarray, tasks: tuple[str, ...], chains: np.ndarray
) -> TreeFront:
    """Front of the given trees, (N, L) chains of partitions."""
    blocks = num_blocks(len(tasks))
    cost, score = np.zeros(len(chains), costs.dtype), np.zeros(len(chains))
    for layer in range(len(costs)):
        cost = cost + costs[layer] * blocks[chains[:, layer]]
        score = score + scores[layer, chains[:, layer]]
    best = pareto_front(cost, score)
    return TreeFront(cost[best], score[best], chains[best], tasks)
