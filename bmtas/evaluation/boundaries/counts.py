"""Counts of matched boundary pixels of one image at many thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmtas.evaluation.boundaries.matching import BoundaryMatcher
from bmtas.thinning import thin

COLUMNS = ('matched_truth', 'truth', 'matched_prediction', 'prediction')
"""Columns of all counts: numerator and denominator of recall, then of precision."""


def make_thresholds(number: int) -> np.ndarray:
    """Thresholds of the benchmarks, (number,) float64.

    k / (number + 1) as in the Berkeley benchmark, e.g. 0.01 to 0.99 for 99; for 101 the list
    0.001, 0.01, 0.02, ..., 0.99, 0.999 that is used with SEISM.
    """
    if number < 1:
        raise ValueError(f'thresholds: at least one is needed, got {number}')
    if number == 101:
        return np.concatenate([[0.001], np.arange(1, 100) / 100, [0.999]])
    # linspace rounds as the benchmark's own code does: 85/255 lies below its threshold 2/6
    return np.linspace(1 / (number + 1), 1 - 1 / (number + 1), number)


def image_counts(
    probability: np.ndarray,
    truths: Sequence[np.ndarray],
    thresholds: np.ndarray,
    tolerance: float = 0.0075,
    strict: bool = False,
    ignored: np.ndarray | None = None,
) -> np.ndarray:
    """Compare one predicted boundary map with the ground truths of its annotators.

    At each threshold the map is made binary, thinned and matched with each ground truth. Matched
    true pixels and true pixels are added over annotators; a predicted pixel is matched if it is
    with any annotator.

    Args:
        probability: (H, W) in [0, 1].
        truths: (H, W) bool for each annotator, lines of one pixel.
        thresholds: (K,) increasing.
        tolerance: Largest distance of a pair as a fraction of the image diagonal.
        strict: Boundary is where probability > threshold, else where >=.
        ignored: (H, W) bool, predicted pixels here do not count.

    Returns:
        (K, 4) int64, see ``COLUMNS``.
    """
    height, width = probability.shape
    matchers = [BoundaryMatcher(truth, tolerance * np.hypot(height, width)) for truth in truths]
    counts = np.zeros((len(thresholds), 4), np.int64)
    previous = -1
    for row, threshold in enumerate(thresholds):
        mask = probability > threshold if strict else probability >= threshold
        pixels = np.count_nonzero(mask)
        if pixels == previous:
            # the masks are nested: as many pixels means the same mask
            counts[row] = counts[row - 1]
            continue
        previous = pixels
        counts[row] = mask_counts(mask, matchers, ignored)
    return counts


def mask_counts(
    mask: np.ndarray, matchers: Sequence[BoundaryMatcher], ignored: np.ndarray | None
) -> np.ndarray:
    """Counts (4,) of one binary map (H, W)."""
    lines = thin(mask)
    if ignored is not None:
        lines &= ~ignored
    matched = np.zeros_like(lines)
    matched_truth = 0
    for matcher in matchers:
        found = matcher.match(lines)
        matched_truth += np.count_nonzero(found)
        matched |= found
    truth = sum(matcher.count for matcher in matchers)
    return np.array([matched_truth, truth, np.count_nonzero(matched), np.count_nonzero(lines)])
