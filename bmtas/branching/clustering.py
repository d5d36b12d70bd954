"""Spectral clustering of a handful of items."""

from __future__ import annotations

import numpy as np
from scipy.cluster.vq import kmeans2


def spectral_clusters(affinity: np.ndarray, num_clusters: int) -> np.ndarray:
    """Clusters of the normalised graph Laplacian (Ng, Jordan, Weiss, NeurIPS 2001).

    Deterministic: the k-means behind it always starts from the same random numbers.

    Args:
        affinity: (M, M), symmetric, not negative.
        num_clusters: At most that many; fewer if the points cannot be told apart.

    Returns:
        (M,) cluster of each item, numbered by their first member.

    Raises:
        ValueError: A number of clusters that is not between 1 and M.
    """
    size = len(affinity)
    if not 1 <= num_clusters <= size:
        raise ValueError(f'{num_clusters} clusters of {size} items')
    if num_clusters in (1, size):
        return np.arange(size) * (num_clusters > 1)
    scale = 1 / np.sqrt(np.maximum(affinity.sum(1), 1e-12))
    _, vectors = np.linalg.eigh(affinity * scale[:, None] * scale)
    points = vectors[:, -num_clusters:]
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    different = len(np.unique(points.round(9), axis=0))
    _, labels = kmeans2(points, min(num_clusters, different), minit='++', rng=0, missing='raise')
    return canonical(labels[None])[0]


def canonical(rows: np.ndarray) -> np.ndarray:
    """Number the blocks of each row by their first item.

    Args:
        rows: (N, T) whole numbers; equal numbers in a row are one block.

    Returns:
        (N, T) int64.
    """
    first = (rows[:, :, None] == rows[:, None, :]).argmax(1)
    starts = first == np.arange(rows.shape[1])
    return np.take_along_axis(np.cumsum(starts, axis=1) - 1, first, axis=1)
