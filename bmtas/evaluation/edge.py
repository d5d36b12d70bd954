"""Plain pixel-wise F of edge probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bmtas.evaluation.base import TaskMetric, best_index, ratio, threshold_counts
from bmtas.evaluation.saliency import f_score
from bmtas.kinds import Mask
from bmtas.registry import METRICS

THRESHOLDS = torch.arange(1, 100) / 100
"""0.01, 0.02, ..., 0.99."""


@METRICS.register_module()
class EdgeFMeasure(TaskMetric):
    """Pixel-wise F of edges, without tolerance: fast, for validation while training.

    Counts over the whole data set at the thresholds 0.01, 0.02, ..., 0.99 (edge where probability
    >= threshold). ``F`` is the best F (in percent), ``precision`` and ``recall`` (in percent) and
    ``threshold`` belong to it. Pixels without label do not count. A shift of one pixel costs
    nearly everything here; figures to publish come from ``BoundaryFMeasure``.

    Predictions are (H, W) probabilities, labels (H, W) of kind mask.
    """

    suits = Mask
    scores = dict(F=True, precision=True, recall=True, threshold=True)

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.kind.labelled(target)
        prediction, target = prediction[valid], target[valid]
        predicted, hit = threshold_counts(prediction, target, THRESHOLDS, strict=False)
        return {'predicted': predicted, 'hit': hit, 'labelled': (target > 0).sum()}

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        hit, predicted, labelled = sums['hit'], sums['predicted'], sums['labelled']
        f_measure = f_score(hit, predicted, labelled)
        best = best_index(f_measure)
        return {
            'F': 100 * float(f_measure[best]),
            'precision': 100 * float(ratio(hit, predicted)[best]),
            'recall': 100 * float(ratio(hit, labelled)[best]),
            'threshold': float(THRESHOLDS[best]) if labelled + predicted[0] else float('nan'),
        }
