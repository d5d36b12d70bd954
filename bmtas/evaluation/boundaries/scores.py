"""From counts to odsF, oisF and AP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BoundaryScores:
    """The benchmark's summary; all values in [0, 1], NaN where there was nothing to count.

    Args:
        ods: Threshold, recall, precision and F of the best threshold for the data set.
        ois: Recall, precision and F with the best threshold for each image.
        ap: Average precision.
        curve: ``threshold``, ``recall``, ``precision`` and ``f``, arrays (K,).
    """

    ods: tuple[float, float, float, float]
    ois: tuple[float, float, float]
    ap: float
    curve: Mapping[str, np.ndarray]


def recall_precision_f(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and F from counts (..., 4).

    Without true pixels recall is 1, precision 0; without predicted pixels precision is 1, recall
    0; F is 0 in both cases.
    """
    matched_truth, truth, matched_prediction, prediction = np.moveaxis(counts, -1, 0)
    recall = np.where(truth > 0, matched_truth / np.maximum(truth, 1), prediction > 0)
    precision = np.where(prediction > 0, matched_prediction / np.maximum(prediction, 1), 1.0)
    return recall, precision, f_measure(recall, precision)


def f_measure(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Harmonic mean, 0 where both are 0."""
    total = recall + precision
    return 2 * recall * precision / np.where(total > 0, total, 1)


def best_counts(counts: np.ndarray) -> np.ndarray:
    """Counts (4,) of one image at its best threshold, from counts (K, 4)."""
    return counts[recall_precision_f(counts)[2].argmax()]


def summarize(
    counts: np.ndarray, best: np.ndarray, thresholds: np.ndarray, interpolate: bool = False
) -> BoundaryScores:
    """Scores of a data set.

    Args:
        counts: (K, 4), sum over images.
        best: (4,), sum over images of ``best_counts``.
        thresholds: (K,).
        interpolate: Interpolate recall and precision linearly in 100 steps between neighbouring
            thresholds before the best F is taken, as in the Berkeley benchmark; SEISM does not.
    """
    recall, precision, f = recall_precision_f(counts)
    points = np.stack([thresholds, recall, precision])
    if interpolate and len(thresholds) > 1:
        share = np.linspace(0, 1, 100)[:, None]
        between = points[:, None, :-1] * (1 - share) + points[:, None, 1:] * share
        points = between.transpose(0, 2, 1).reshape(3, -1)
    candidates = f_measure(points[1], points[2])
    index = int(candidates.argmax())
    ois = tuple(float(value) for value in recall_precision_f(best))
    return BoundaryScores(
        ods=(*(float(value) for value in points[:, index]), float(candidates[index])),
        ois=ois,
        ap=average_precision(recall, precision),
        curve={'threshold': thresholds, 'recall': recall, 'precision': precision, 'f': f},
    )


def average_precision(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the precision-recall curve: mean precision at recall 0, 0.01, ..., 1.

    Precision is interpolated linearly between the measured recalls and counts as 0 outside them.
    Of several precisions at one recall that of the highest threshold counts.
    """
    unique, index = np.unique(recall[::-1], return_index=True)
    if len(unique) < 2:
        return 0.0
    steps = np.linspace(0, 1, 101)
    values = np.interp(steps, unique, precision[::-1][index], left=0, right=0)
    return float(values.sum() / 100)
