"""Branched multi-task networks by representation similarity (Vandenhende et al., BMVC 2020).

Two tasks are alike at a location if their single-task networks find the same pairs of images
similar there. A tree is the better, the more alike the tasks of its groups are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from bmtas.branching import TreeFront, partition_scores, tree_front
from bmtas.branching.tree import BranchingTree

WEIGHTS = ('clusters', 'tasks')

Features = Callable[[Sequence[int]], Sequence[Tensor]]
"""Numbers of images -> for each location their features (B, ...)."""


def dissimilarity(
    features: Features,
    num_images: int,
    block: int,
    progress: Callable[[range], Sequence[int]] = lambda steps: steps,
) -> np.ndarray:
    """Representation dissimilarity matrices, 1 - Pearson correlation between images' features.

    Features of at most ``2 * block`` images are in memory at a time: blocks of images are compared
    two by two and computed anew for each comparison, in float64. With ``block >= num_images`` each
    image is seen once.

    Args:
        features: Computes the features of some images at every location.
        num_images: K.
        block: Images per block.
        progress: Wraps the range of first blocks, e.g. to draw a bar.

    Returns:
        (D, K, K) float64, symmetric with a zero diagonal. Features without variance correlate
        with nothing.
    """
    matrices = None
    starts = range(0, num_images, block)
    for number in progress(range(len(starts))):
        rows = range(starts[number], min(starts[number] + block, num_images))
        first = [_standardise(feature) for feature in features(rows)]
        if matrices is None:
            matrices = np.zeros((len(first), num_images, num_images))
        for start in starts[number:]:
            columns = range(start, min(start + block, num_images))
            second = first
            if start != starts[number]:
                second = [_standardise(feature) for feature in features(columns)]
            for location, (a, b) in enumerate(zip(first, second)):
                distance = 1 - (a @ b.T).clamp(-1, 1).cpu().numpy()
                matrices[location, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = distance
                matrices[location, columns[0] : columns[-1] + 1, rows[0] : rows[-1] + 1] = (
                    distance.T
                )
    matrices[:, np.arange(num_images), np.arange(num_images)] = 0
    return matrices


def _standardise(features: Tensor) -> Tensor:
    """One vector of mean 0 and length 1 for each image, (B, F) float64; zeros if constant."""
    flat = features.detach().flatten(1).double()
    flat = flat - flat.mean(1, keepdim=True)
    length = flat.norm(dim=1, keepdim=True)
    return torch.where(length > 0, flat / length, 0.0)


def rank_affinity(matrices: np.ndarray) -> np.ndarray:
    """Spearman correlation of the tasks' dissimilarities at each location.

    Args:
        matrices: (T, D, K, K) as from ``dissimilarity``.

    Returns:
        (D, T, T), symmetric with ones on the diagonal. Dissimilarities without variance correlate
        with nothing.
    """
    upper = np.triu_indices(matrices.shape[-1], 1)
    ranks = rankdata(matrices[..., upper[0], upper[1]], axis=-1)  # ties share their mean rank
    ranks -= ranks.mean(-1, keepdims=True)
    length = np.linalg.norm(ranks, axis=-1, keepdims=True)
    ranks = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    affinity = np.einsum('sdn,tdn->dst', ranks, ranks).clip(-1, 1)
    affinity[:, np.arange(len(matrices)), np.arange(len(matrices))] = 1
    return affinity


def group_scores(affinity: np.ndarray, weight: str = 'clusters') -> np.ndarray:
    """Score of every partition of the tasks at every location; less is better.

    The dissimilarity 1 - A of the least alike pair within each group (0 for single tasks),
    averaged over the groups (``clusters``, as published: splitting off an easy task can lower it
    more than separating the worst pair) or over the tasks (``tasks``).

    Args:
        affinity: (D, T, T).
        weight: 'clusters' or 'tasks'.

    Returns:
        (D, Bell) in the order of ``bmtas.branching.partitions.all_partitions``.
    """
    if weight not in WEIGHTS:
        raise ValueError(f'search.weight: {weight!r}, choose from {list(WEIGHTS)}')
    num_tasks = affinity.shape[1]

    def worst(location: int, group: tuple[int, ...]) -> float:
        return 1 - affinity[location][np.ix_(group, group)].min()

    def score(location: int, groups: tuple[tuple[int, ...], ...]) -> float:
        if weight == 'tasks':
            return sum(len(g) * worst(location, g) for g in groups) / num_tasks
        return sum(worst(location, g) for g in groups) / len(groups)

    # rounding errors of equal representations must not buy a branch
    return partition_scores(score, len(affinity), num_tasks).round(12)


def spans(locations: Sequence[int], num_layers: int) -> list[int]:
    """Number of layers that follow each location's partition.

    Location d stands for the layers after location d - 1 up to its own; the last one for the rest
    of the encoder too.
    """
    ends = [*[location + 1 for location in locations[:-1]], num_layers]
    return [end - start for start, end in zip([0, *ends], ends)]


def location_costs(costs: Sequence[float], lengths: Sequence[int]) -> list[float]:
    """Cost of one copy of the layers of each location."""
    ends = np.cumsum(lengths)
    return [sum(costs[end - length : end]) for end, length in zip(ends, lengths)]


def expand(tree: BranchingTree, lengths: Sequence[int]) -> BranchingTree:
    """From a tree over locations to one over layers."""
    return BranchingTree.from_routes(np.repeat(tree.routes, lengths, axis=0), tree.tasks)


def bmn_front(
    affinity: np.ndarray,
    costs: Sequence[float],
    lengths: Sequence[int],
    tasks: Sequence[str],
    weight: str = 'clusters',
    method: str = 'dp',
) -> TreeFront:
    """The best trees over locations for every budget of the layers at once.

    Args:
        affinity: (D, T, T).
        costs: (L,) of one copy of each layer.
        lengths: Number of layers of each location, from ``spans``.
        tasks: T names.
        weight: As in ``group_scores``.
        method: 'dp' or 'exhaustive'.
    """
    scores = group_scores(affinity, weight)
    return tree_front(location_costs(costs, lengths), scores, tasks, method)
