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

from bmtas.branching import BranchingTree

ROWS_AT_ONCE = 64
"""Partitions scored at once, which bounds memory."""

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
                if second is first:  # a matrix product may round its two halves differently
                    distance = (distance + distance.T) / 2
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


class GroupScores:
    """Score of any partition of the tasks at every location; less is better.

    The dissimilarity 1 - A of the least alike pair within each group (0 for single tasks),
    averaged over the groups (``clusters``, as published: splitting off an easy task can lower it
    more than separating the worst pair) or over the tasks (``tasks``).

    Args:
        affinity: (D, T, T).
        weight: 'clusters' or 'tasks'.

    Attributes:
        num_tasks: T.
        similarity: (D, T, T), the affinity moved to [0, 1].
    """

    def __init__(self, affinity: np.ndarray, weight: str = 'clusters') -> None:
        self.num_tasks, self.weight = affinity.shape[1], weight
        self.apart = 1 - affinity
        self.apart[:, range(self.num_tasks), range(self.num_tasks)] = 0
        self.similarity = (1 + affinity).clip(0, 2) / 2

    def table(self, rows: np.ndarray) -> np.ndarray:
        """Scores (D, N) of the partitions (N, T), whose blocks are numbered from 0."""
        parts = np.array_split(rows, max(1, len(rows) // ROWS_AT_ONCE))
        return np.concatenate([self._table(part) for part in parts], axis=1)

    def _table(self, rows: np.ndarray) -> np.ndarray:
        same = rows[:, :, None] == rows[:, None, :]
        # (D, N, T): how far the least alike task of the same group is
        farthest = np.where(same, self.apart[:, None], 0).max(-1)
        total = np.zeros(farthest.shape[:2])
        for block in range(int(rows.max()) + 1):
            members = rows == block
            size = members.sum(1) if self.weight == 'tasks' else 1
            total += size * np.where(members, farthest, 0).max(-1)
        return _rounded(total / (self.num_tasks if self.weight == 'tasks' else rows.max(1) + 1))

    def of_merged(self, row: np.ndarray) -> np.ndarray:
        """Scores (D, B, B) of what arises if two of the B blocks of a partition are merged."""
        order = np.argsort(row, kind='stable')
        starts = np.searchsorted(row[order], np.arange(row.max() + 1))
        between = self.apart[:, order][:, :, order]
        between = np.maximum.reduceat(np.maximum.reduceat(between, starts, 1), starts, 2)
        within = np.diagonal(between, axis1=1, axis2=2)
        merged = np.maximum(between, np.maximum(within[:, :, None], within[:, None, :]))
        size = np.bincount(row) if self.weight == 'tasks' else np.ones(len(starts))
        parts = size * within
        rest = parts.sum(1)[:, None, None] - parts[:, :, None] - parts[:, None, :]
        if self.weight == 'tasks':
            return _rounded((rest + (size[:, None] + size) * merged) / self.num_tasks)
        return _rounded((rest + merged) / max(1, len(starts) - 1))


def _rounded(scores: np.ndarray) -> np.ndarray:
    """Rounding errors of equal representations must not buy a branch."""
    return scores.round(12)


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
