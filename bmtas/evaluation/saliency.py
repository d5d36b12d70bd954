"""Maximum IoU and maximum F of foreground probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bmtas.evaluation.base import TaskMetric, best_index, ratio, threshold_counts
from bmtas.kinds import Mask
from bmtas.registry import METRICS

IOU_THRESHOLDS = torch.arange(4, 19) / 20
"""0.20, 0.25, ..., 0.90: the 15 thresholds of max-mIoU."""
F_THRESHOLDS = torch.arange(1, 20) / 20
"""0.05, 0.10, ..., 0.95: the 19 thresholds of max-F."""


@METRICS.register_module()
class SaliencyIoU(TaskMetric):
    """Saliency measures of the multi-task literature, all in percent.

    ``maxIoU``: at each of the thresholds 0.20, 0.25, ..., 0.90 the foreground is where the
    probability exceeds the threshold; the foreground IoU of each image (1 if label and prediction
    both are empty) is averaged over images, and the best threshold counts (ASTMT, BMTAS).
    ``IoU``: the same average at threshold 0.5.
    ``maxF``: F with beta^2 = 0.3 from pixel counts of the whole data set, the best over the
    thresholds 0.05, 0.10, ..., 0.95, foreground where probability >= threshold (ATRC).

    Pixels without label do not count, nor do images without any other pixel. Predictions are
    (H, W) probabilities, labels (H, W) of kind mask.
    """

    suits = Mask
    scores = dict(maxIoU=True, IoU=True, maxF=True)
    beta_squared = 0.3

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.kind.labelled(target)
        prediction, target = prediction[valid], target[valid]
        labelled = (target > 0).sum()
        predicted, hit = threshold_counts(prediction, target, IOU_THRESHOLDS, strict=True)
        union = predicted + labelled - hit
        iou = torch.where(union > 0, hit.double() / union.clamp(min=1), 1.0)
        if not len(target):
            iou = torch.zeros_like(iou)
        predicted, hit = threshold_counts(prediction, target, F_THRESHOLDS, strict=False)
        return {
            'images': torch.tensor(int(len(target) > 0)),
            'iou': iou,
            'predicted': predicted,
            'hit': hit,
            'labelled': labelled,
        }

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        iou = ratio(sums['iou'], sums['images'])
        f_measure = f_score(sums['hit'], sums['predicted'], sums['labelled'], self.beta_squared)
        at_half = int((IOU_THRESHOLDS - 0.5).abs().argmin())
        return {
            'maxIoU': 100 * float(iou.max()),
            'IoU': 100 * float(iou[at_half]),
            'maxF': 100 * float(f_measure[best_index(f_measure)]),
        }


def f_score(hit: Tensor, predicted: Tensor, labelled: Tensor, beta_squared: float = 1.0) -> Tensor:
    """F from counts: (1 + b) P R / (b P + R) = (1 + b) hit / (predicted + b labelled), NaN if 0/0.

    Args:
        hit, predicted: Counts of any common shape.
        labelled: Count of labelled foreground pixels, scalar or of the same shape.
        beta_squared: b, the weight of recall.
    """
    return ratio((1 + beta_squared) * hit.double(), predicted + beta_squared * labelled.double())
