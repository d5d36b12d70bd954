"""Fully-adaptive feature sharing (Lu et al., CVPR 2017) on one trained shared network.

Which images are hard for a task tells which tasks are alike; groups of tasks are merged greedily
from the last layer to the first, a penalty for branches against one for unlike tasks in a group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmtas.branching import BranchingTree, all_partitions, candidate_partitions

EXACT_CHILDREN = 8
"""Up to so many groups all ways to merge them are tried (4,140)."""
KEPT = 10
"""Of more groups, ways to merge them that are kept for each number of merged groups."""

Groups = list[tuple[int, ...]]


def task_affinity(difficulty: np.ndarray) -> np.ndarray:
    """How often two tasks agree on which images are hard.

    An image is hard for a task if its difficulty is at least the task's mean.

    Args:
        difficulty: (N, T), NaN where the image has no label of the task.

    Returns:
        (T, T) in [0, 1]: fraction of the images labelled for both on which they agree; 0 if there
        are none. The diagonal is 1.
    """
    labelled = np.isfinite(difficulty)
    counts = np.maximum(labelled.sum(0), 1)
    mean = np.where(labelled, difficulty, 0).sum(0) / counts
    hard = np.where(labelled, difficulty >= mean, False)
    easy = labelled & ~hard
    agree = hard.T.astype(float) @ hard + easy.T.astype(float) @ easy
    both = labelled.T.astype(float) @ labelled
    affinity = agree / np.maximum(both, 1)
    np.fill_diagonal(affinity, 1.0)
    return affinity


def group_affinity(affinity: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """Affinity between groups of tasks.

    One way: the mean over the tasks of the first group of the least affinity to a task of the
    second; the result is the mean of both ways. A group of several tasks is thus not fully alike
    to itself.

    Args:
        affinity: (T, T) between tasks.
        groups: M groups of task numbers.

    Returns:
        (M, M), symmetric.
    """
    size = len(groups)
    one_way = np.empty((size, size))
    for a, first in enumerate(groups):
        for b, second in enumerate(groups):
            one_way[a, b] = affinity[np.ix_(first, second)].min(1).mean()
    return (one_way + one_way.T) / 2


class Separation:
    """How unlike the members of merged groups are.

    For each partition of the children the mean over its groups G of
    1 - mean_{k in G} min_{k' in G} A(k, k').

    Args:
        between: (M, M) affinity A of the children.

    Attributes:
        num_tasks: M, the number of items that are partitioned.
        similarity: (1, M, M).
    """

    def __init__(self, between: np.ndarray) -> None:
        self.between, self.num_tasks, self.similarity = between, len(between), between[None]

    def table(self, rows: np.ndarray) -> np.ndarray:
        """(1, N) for the partitions (N, M)."""
        parts = np.array_split(rows, len(rows) // 256 + 1)
        return np.concatenate([self._part(part) for part in parts])[None]

    def _part(self, rows: np.ndarray) -> np.ndarray:
        same = rows[:, :, None] == rows[:, None, :]
        least = np.where(same, self.between, np.inf).min(2)
        return ((1 - least) / same.sum(2)).sum(1) / (rows.max(1) + 1)


def groupings(affinity: np.ndarray, children: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Ways to merge the children: all for a few of them, else the most promising.

    Returns:
        Partitions of the children (N, M) in lexicographic order and their separation (N,).
    """
    separation = Separation(group_affinity(affinity, children))
    if len(children) <= EXACT_CHILDREN:
        rows = all_partitions(len(children))
    else:
        rows = np.unique(candidate_partitions(separation, KEPT), axis=0)
    return rows, separation.table(rows)[0]


Known = dict[tuple[tuple[int, ...], ...], tuple[np.ndarray, np.ndarray]]
"""Groupings by the children that are merged: they do not depend on layer or alpha."""


def merge_children(
    affinity: np.ndarray,
    children: Groups,
    branch_cost: float,
    alpha: float,
    known: Known | None = None,
) -> Groups:
    """Merge the groups of the layer above so that

        (m - 1) * branch_cost + alpha * mean_G [1 - mean_{k in G} min_{k' in G} A(k, k')]

    is least, with m merged groups G of children k. Ties go to fewer groups, then to the
    lexicographically first. ``known`` takes up what can be used again.
    """
    known = {} if known is None else known
    if tuple(children) not in known:
        known[tuple(children)] = groupings(affinity, children)
    rows, apart = known[tuple(children)]
    counts = rows.max(1).astype(int) + 1
    # rounding must not decide ties
    price = ((counts - 1) * branch_cost + alpha * apart).round(12)
    best = rows[np.lexsort((counts, price))[0]]
    merged = [
        tuple(sorted(t for child in np.flatnonzero(best == group) for t in children[child]))
        for group in range(best.max() + 1)
    ]
    return sorted(merged)


def greedy_tree(
    affinity: np.ndarray,
    branch_costs: Sequence[float],
    alpha: float,
    tasks: Sequence[str],
    known: Known | None = None,
) -> BranchingTree:
    """Group the tasks greedily from the last layer to the first.

    Args:
        affinity: (T, T) from ``task_affinity``.
        branch_costs: (L,) price of one more branch in each layer.
        alpha: Weight of the unlikeness within groups; 0 shares everything, large separates.
        tasks: T names.
        known: Takes up what another call with the same affinity can use again.
    """
    known = {} if known is None else known
    children: Groups = [(t,) for t in range(len(tasks))]
    routes = np.zeros((len(branch_costs), len(tasks)), int)
    for layer in range(len(branch_costs) - 1, -1, -1):
        if len(children) > 1:
            children = merge_children(affinity, children, branch_costs[layer], alpha, known)
        for index, group in enumerate(children):
            routes[layer, list(group)] = index
    return BranchingTree.from_routes(routes, tasks)


def sweep(
    affinity: np.ndarray,
    branch_costs: Sequence[float],
    tasks: Sequence[str],
    alphas: Sequence[float],
) -> list[tuple[float, BranchingTree]]:
    """The distinct trees in the order of rising alpha, each with the first alpha that gives it."""
    found: dict[BranchingTree, float] = {}
    known: Known = {}
    for alpha in sorted(alphas):
        found.setdefault(greedy_tree(affinity, branch_costs, alpha, tasks, known), alpha)
    return [(alpha, tree) for tree, alpha in found.items()]


def stride_costs(branch_strides: Sequence[int]) -> list[float]:
    """Price of a branch, doubled for every stride-2 step that follows the layer."""
    return [float(2**steps) for steps in branch_strides]
