"""Figures of merit of what a strategy found, and how sure differences of them are."""

from __future__ import annotations

import numpy as np
from protocol import Outcome, Trial
from scipy.stats import spearmanr


def figures(trial: Trial, outcome: Outcome) -> dict[str, np.ndarray]:
    """Figures of merit of one outcome, one number for each budget; NaN where it has none.

    ``normalised`` and ``regret`` of the trees chosen; ``equal``: normalised gain if it had to
    choose among the trees of equal cost; ``percentile`` of that choice; ``rank``: Spearman of its
    score with the truth within the cost; ``units``; ``bar``: the normalised gain of the best of as
    many random trees of equal cost as the units pay.
    """
    values = trial.truth[outcome.trees] if outcome.values is None else outcome.values
    nothing = np.full(len(values), np.nan)
    found = dict(
        normalised=trial.normalised(values),
        regret=trial.optimum - values,
        units=outcome.units,
        bar=trial.normalised(trial.best_of_random(trial.affordable(outcome.units))),
        equal=nothing,
        percentile=nothing,
        rank=nothing,
    )
    if outcome.score is not None:
        equal = trial.truth[trial.best_of_equal(outcome.score)]
        found['equal'] = trial.normalised(equal)
        pairs = list(zip(trial.classes, equal))
        found['percentile'] = np.array([100 * _share_below(trial.truth[c], v) for c, v in pairs])
        found['rank'] = np.array([_rank(outcome.score[c], trial.truth[c]) for c in trial.classes])
    return found


def _share_below(values: np.ndarray, value: float) -> float:
    """Share of the other values that are lower; 0.5 if there is no other."""
    return (values < value).sum() / (len(values) - 1) if len(values) > 1 else 0.5


def _rank(score: np.ndarray, truth: np.ndarray) -> float:
    known = np.isfinite(score)
    if known.sum() < 3 or np.ptp(score[known]) == 0:
        return np.nan
    return float(spearmanr(score[known], truth[known]).statistic)


def calibration(trial: Trial, score: np.ndarray) -> tuple[float, float]:
    """Correlation of predicted with true gains against Shared, and mean error in points."""
    shared = trial.table.costs.argmin()
    predicted, true = score - score[shared], trial.truth - trial.truth[shared]
    return float(np.corrcoef(predicted, true)[0, 1]), float((predicted - true).mean())


def bootstrap(
    differences: np.ndarray, groups: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of paired differences and its 95 % interval; whole groups are drawn again.

    Args:
        differences: (N,).
        groups: (N,) number of the group of each: teachers, or cells of one table.
        draws: Number of draws.
        seed: Of the draws.
    """
    numbers, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, differences)
    counts = np.bincount(index)
    drawn = np.random.default_rng(seed).integers(len(numbers), size=(draws, len(numbers)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(differences.mean()), float(low), float(high)
