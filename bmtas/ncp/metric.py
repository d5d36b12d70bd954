"""How well predictions match the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from scipy.stats import kendalltau, spearmanr

from bmtas.registry import METRICS


def regression_scores(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Agreement of one output with its records.

    Args:
        predicted: (N,).
        target: (N,).

    Returns:
        ``MAE`` in the output's unit, ``tau`` (Kendall's tau-b), ``spearman`` and ``R2``; the last
        three are 0 where they are not defined (constant values).
    """
    predicted, target = predicted.astype(np.float64), target.astype(np.float64)
    spread = float(((target - target.mean()) ** 2).sum())
    constant = np.ptp(predicted) == 0 or np.ptp(target) == 0
    return {
        'MAE': float(np.abs(predicted - target).mean()),
        'tau': 0.0 if constant else float(kendalltau(predicted, target).statistic),
        'spearman': 0.0 if constant else float(spearmanr(predicted, target).statistic),
        'R2': 0.0 if spread == 0 else 1 - float(((predicted - target) ** 2).sum()) / spread,
    }


@METRICS.register_module()
class CodePredictionMetric(BaseMetric):
    """MAE, Kendall's tau, Spearman and R2 of each output, ``<output>/<score>``.

    ``calibration`` besides is the root mean square of (record - mean) / std over the ensemble: 1
    for an honest ensemble, larger for one that is too sure; absent for a single network.

    Args:
        names: Outputs in the predictor's order.
        collect_device: Where results of several processes are joined.
    """

    def __init__(self, names: Sequence[str], collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        self.names = tuple(names)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep mean, deviation and record of each code."""
        for batch in data_samples:
            parts = [batch[key].cpu().numpy() for key in ('mean', 'std', 'target')]
            self.results.extend(np.stack(parts, axis=1))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Scores of each output from all codes."""
        mean, std, target = np.stack(results).transpose(1, 2, 0)
        scores = {}
        for row, name in enumerate(self.names):
            for key, value in regression_scores(mean[row], target[row]).items():
                scores[f'{name}/{key}'] = value
            if (std[row] > 0).all():
                ratio = (target[row] - mean[row]) / std[row]
                scores[f'{name}/calibration'] = float(np.sqrt((ratio**2).mean()))
        return scores
