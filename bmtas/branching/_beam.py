"""Candidates for the partitions of a tree where there are too many to list them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.cluster.vq import ClusterError

from bmtas.branching.clustering import canonical, spectral_clusters
from bmtas.branching.partitions import all_partitions, row_codes


class PartitionScores(Protocol):
    """Scores of any partitions at once.

    Attributes:
        num_tasks: T.
        similarity: (L, T, T) of the tasks in [0, 1] for spectral clustering, or None.
    """

    num_tasks: int
    similarity: np.ndarray | None

    def table(self, rows: np.ndarray) -> np.ndarray:
        """Scores (L, N) of the partitions (N, T), whose blocks are numbered by first item."""

    # Optional, for speed: ``of_merged(row)``, scores (L, B, B) of what arises from the partition
    # (T,) if two of its B blocks are merged; only the entries above the diagonal count.


class ListedScores:
    """Scores of all partitions of up to nine tasks, (L, Bell)."""

    similarity = None

    def __init__(self, scores: np.ndarray, num_tasks: int) -> None:
        self.scores, self.num_tasks = scores, num_tasks
        self.codes = row_codes(all_partitions(num_tasks))

    def table(self, rows: np.ndarray) -> np.ndarray:
        return self.scores[:, np.searchsorted(self.codes, row_codes(rows))]


class CalledScores:
    """``score(layer, groups)``, called once for each layer and partition."""

    similarity = None

    def __init__(self, score: Callable[..., float], num_layers: int, num_tasks: int) -> None:
        self.score, self.num_layers, self.num_tasks = score, num_layers, num_tasks
        self.known: dict[bytes, list[float]] = {}

    def table(self, rows: np.ndarray) -> np.ndarray:
        return np.array([self._column(row) for row in rows]).reshape(len(rows), -1).T

    def _column(self, row: np.ndarray) -> list[float]:
        key = row.astype(np.int64).tobytes()
        if key not in self.known:
            blocks = range(int(row.max()) + 1)
            groups = tuple(tuple(np.flatnonzero(row == block).tolist()) for block in blocks)
            self.known[key] = [self.score(layer, groups) for layer in range(self.num_layers)]
        return self.known[key]


def candidate_partitions(scores: PartitionScores, width: int) -> np.ndarray:
    """The most promising partitions, for each number of blocks up to ``width`` of them.

    Two sources: from the singletons on, any two blocks of a partition kept before are merged; and
    spectral clustering of the tasks' similarity in each layer. What is kept ranks high in at least
    one layer, or in the sum over the first or the last layers: a tree keeps a partition for some
    layers in a row. If ``width`` is large enough, all partitions are kept.

    Returns:
        (P, T), by rising number of blocks, from one block to all singletons.
    """
    size = scores.num_tasks
    levels = [np.arange(size)[None]]
    proposed = _spectral_proposals(scores)
    for num in range(size - 1, 0, -1):
        rows = np.concatenate([_best_merges(scores, levels[-1], width), *proposed.get(num, [])])
        rows = np.unique(rows, axis=0)
        criteria = _criteria(scores.table(rows))
        ranks = np.argsort(np.argsort(criteria, axis=1, kind='stable'), axis=1)
        best = np.lexsort((criteria[-1], ranks.min(0)))[:width]
        levels.append(rows[np.sort(best)])
    return np.concatenate(levels[::-1])


def refinement_covers(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (coarse, fine) of the given partitions with none of them in between.

    Args:
        rows: (P, T), by rising number of blocks.
    """
    first, second = np.triu_indices(rows.shape[1], 1)
    together = (rows[:, first] == rows[:, second]).astype(np.float32)
    # fine refines coarse if no pair is together in fine and apart in coarse
    refines = (1 - together) @ together.T == 0
    np.fill_diagonal(refines, False)
    between = refines.astype(np.float32)
    return np.nonzero(refines & (between @ between == 0))


def _spectral_proposals(scores: PartitionScores) -> dict[int, list[np.ndarray]]:
    """By number of blocks a list of (1, T) partitions."""
    found: dict[int, list[np.ndarray]] = {}
    for similarity in () if scores.similarity is None else scores.similarity:
        for num in range(2, scores.num_tasks):
            try:
                row = spectral_clusters(similarity, num)
            except ClusterError:  # k-means lost a cluster: one proposal less
                continue
            found.setdefault(int(row.max()) + 1, []).append(row[None])
    return found


def _best_merges(scores: PartitionScores, rows: np.ndarray, width: int) -> np.ndarray:
    """For each criterion the ``width`` best partitions with one block less, (N, T)."""
    num = int(rows[0].max()) + 1
    first, second = np.triu_indices(num, 1)
    values = np.concatenate([_after_merges(scores, row, first, second) for row in rows], axis=1)
    criteria = _criteria(values)
    chosen = np.arange(criteria.shape[1])
    if width < len(chosen):
        chosen = np.unique(np.argpartition(criteria, width - 1, axis=1)[:, :width])
    parent, pair = np.divmod(chosen, len(first))
    return _merged(rows[parent], first[pair], second[pair])


def _after_merges(
    scores: PartitionScores, row: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Scores (L, N) of one partition (T,) after the merge of N pairs of its blocks."""
    if hasattr(scores, 'of_merged'):
        return scores.of_merged(row)[:, first, second]
    return scores.table(_merged(np.tile(row, (len(first), 1)), first, second))


def _criteria(values: np.ndarray) -> np.ndarray:
    """(L, N) -> each layer, the sums of the first and of the last layers; last the total."""
    return np.concatenate([values, values[::-1].cumsum(0), values.cumsum(0)])


def _merged(rows: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Put block ``second`` of each row (N, T) into block ``first``, both (N,)."""
    return canonical(np.where(rows == second[:, None], first[:, None], rows))
