"""Fully-adaptive feature sharing (Lu et al., CVPR 2017) on one trained shared network.

Which images are hard for a task tells which tasks are alike; groups of tasks are merged greedily
from the last layer to the first, a penalty for branches against one for unlike tasks in a group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.cluster.vq import kmeans2

from bmtas.branching import BranchingTree
from bmtas.branching.partitions import all_partitions

EXACT_CHILDREN = 8
"""Up to so many groups all ways to merge them are tried (4,140); more are clustered."""

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


def merge_children(
    affinity: np.ndarray, children: Groups, branch_cost: float, alpha: float
) -> Groups:
    """Merge the groups of the layer above so that

        (m - 1) * branch_cost + alpha * mean_G [1 - mean_{k in G} min_{k' in G} A(k, k')]

    is least, with m merged groups G of children k. Ties go to fewer groups, then to the
    lexicographically first.
    """
    between = group_affinity(affinity, children)
    num = len(children)
    if num <= EXACT_CHILDREN:
        candidates = all_partitions(num)
    else:
        candidates = np.stack([_spectral_clusters(between, m) for m in range(1, num + 1)])
    best, best_key = None, None
    for row in candidates:
        count = int(row.max()) + 1
        members = [np.flatnonzero(row == group) for group in range(count)]
        apart = sum(1 - between[np.ix_(m, m)].min(1).mean() for m in members) / count
        # rounding must not decide ties
        key = (round((count - 1) * branch_cost + alpha * apart, 12), count)
        if best_key is None or key < best_key:
            best, best_key = members, key
    merged = [tuple(sorted(t for child in m for t in children[child])) for m in best]
    return sorted(merged)


def _spectral_clusters(affinity: np.ndarray, num_clusters: int) -> np.ndarray:
    """Clusters of the normalised graph Laplacian, numbered by their first member, (M,)."""
    if num_clusters == 1:
        return np.zeros(len(affinity), int)
    scale = 1 / np.sqrt(np.maximum(affinity.sum(1), 1e-12))
    _, vectors = np.linalg.eigh(affinity * scale[:, None] * scale)
    points = vectors[:, -num_clusters:]
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    _, labels = kmeans2(points, num_clusters, minit='++', rng=0, missing='warn')
    seen: dict[int, int] = {}
    return np.array([seen.setdefault(int(label), len(seen)) for label in labels])


def greedy_tree(
    affinity: np.ndarray, branch_costs: Sequence[float], alpha: float, tasks: Sequence[str]
) -> BranchingTree:
    """Group the tasks greedily from the last layer to the first.

    Args:
        affinity: (T, T) from ``task_affinity``.
        branch_costs: (L,) price of one more branch in each layer.
        alpha: Weight of the unlikeness within groups; 0 shares everything, large separates.
        tasks: T names.
    """
    children: Groups = [(t,) for t in range(len(tasks))]
    routes = np.zeros((len(branch_costs), len(tasks)), int)
    for layer in range(len(branch_costs) - 1, -1, -1):
        if len(children) > 1:
            children = merge_children(affinity, children, branch_costs[layer], alpha)
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
    for alpha in sorted(alphas):
        found.setdefault(greedy_tree(affinity, branch_costs, alpha, tasks), alpha)
    return [(alpha, tree) for tree, alpha in found.items()]


def stride_costs(branch_strides: Sequence[int]) -> list[float]:
    """Price of a branch, doubled for every stride-2 step that follows the layer."""
    return [float(2**steps) for steps in branch_strides]
