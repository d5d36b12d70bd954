"""Losses of tasks of kind ``mask``: binary cross-entropy with weighted classes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bmtas.kinds import Kind, Mask
from bmtas.models.losses.reduce import TaskLoss, check_shapes, global_mean, mean_over
from bmtas.registry import MODELS


@MODELS.register_module()
class WeightedBCELoss(TaskLoss):
    """Binary cross-entropy with constant weights, mean over labelled pixels.

    Args:
        kind: Kind of the task.
        pos_weight: w in ``w y softplus(-z) + (1 - w) (1 - y) softplus(z)``, inside (0, 1).
    """

    suits = Mask

    def __init__(self, kind: Kind, pos_weight: float = 0.95) -> None:
        super().__init__(kind)
        if not 0 < pos_weight < 1:
            raise ValueError(f'WeightedBCELoss: pos_weight must be in (0, 1), got {pos_weight}')
        self.pos_weight = pos_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, 1, H, W), labels (N, H, W) of 0, 1 and unlabelled pixels -> scalar."""
        check_shapes(type(self).__name__, logits, 1, target)
        valid = self.kind.labelled(target)
        positive = (target == 1) & valid
        weight = self._weight(positive, valid)
        return weighted_bce(logits[:, 0].float(), positive, valid, weight)

    def _weight(self, positive: Tensor, valid: Tensor) -> float | Tensor:
        return self.pos_weight


@MODELS.register_module()
class BalancedBCELoss(WeightedBCELoss):
    """The same with the fraction of negatives in the batch as the weight of positives.

    Xie and Tu, "Holistically-Nested Edge Detection", ICCV 2015, eq. 2.

    Args:
        kind: Kind of the task.
        margin: The weight is kept inside [margin, 1 - margin], so that a batch without
            positives still teaches its negatives.
    """

    def __init__(self, kind: Kind, margin: float = 0.01) -> None:
        super().__init__(kind)
        if not 0 <= margin < 0.5:
            raise ValueError(f'BalancedBCELoss: margin must be in [0, 0.5), got {margin}')
        self.margin = margin

    def _weight(self, positive: Tensor, valid: Tensor) -> Tensor:
        negatives = global_mean(valid.sum() - positive.sum())
        fraction = negatives / global_mean(valid.sum()).clamp_min(1e-12)
        return fraction.clamp(self.margin, 1 - self.margin)


def weighted_bce(logits: Tensor, positive: Tensor, valid: Tensor, weight: float | Tensor) -> Tensor:
    """Mean over valid pixels of the weighted binary cross-entropy; all inputs (N, H, W)."""
    # softplus(-z) on positives, softplus(z) on negatives
    costs = F.softplus(logits * (1 - 2 * positive.float()))
    scales = weight * positive + (1 - weight) * (valid & ~positive)
    return mean_over((costs * scales).sum(), valid.sum())
