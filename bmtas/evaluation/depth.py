"""Errors of metric depth."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from bmtas.evaluation.base import TaskMetric, ratio
from bmtas.kinds import Depth
from bmtas.registry import METRICS


@METRICS.register_module()
class DepthError(TaskMetric):
    """Errors of depth over all labelled pixels of the data set (not averaged image by image).

    ``rmse`` in metres (the unit of the labels); ``rmse_log`` of natural logarithms; ``abs_rel``
    mean of |d - d*| / d*; ``delta1``, ``delta2``, ``delta3``: percent of pixels with
    max(d / d*, d* / d) < 1.25, 1.25^2, 1.25^3 (Eigen et al., NIPS 2014).

    Predictions and labels are (H, W); labels that are not positive and finite do not count.
    Predictions below ``min_depth`` are raised to it before anything is measured.

    Args:
        min_depth: Smallest depth a prediction can mean, in the unit of the labels.
        kwargs: See ``TaskMetric``.
    """

    suits = Depth
    scores = dict(rmse=False, rmse_log=False, abs_rel=False, delta1=True, delta2=True, delta3=True)

    def __init__(self, *args, min_depth: float = 1e-3, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if min_depth <= 0:
            raise ValueError(f'DepthError of task {self.task!r}: min_depth must be positive')
        self.min_depth = min_depth

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.kind.labelled(target) & torch.isfinite(target)
        prediction = prediction[valid].double().clamp(min=self.min_depth)
        target = target[valid].double()
        difference = prediction - target
        log_ratio = prediction.log() - target.log()
        factor = torch.maximum(prediction / target, target / prediction)
        return {
            'pixels': valid.sum(),
            'squared': difference.square().sum(),
            'squared_log': log_ratio.square().sum(),
            'relative': (difference.abs() / target).sum(),
            'within': torch.stack([(factor < 1.25**power).sum() for power in (1, 2, 3)]),
        }

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        pixels = sums['pixels']
        within = [100 * float(share) for share in ratio(sums['within'], pixels)]
        return {
            'rmse': math.sqrt(float(ratio(sums['squared'], pixels))),
            'rmse_log': math.sqrt(float(ratio(sums['squared_log'], pixels))),
            'abs_rel': float(ratio(sums['relative'], pixels)),
            **dict(zip(('delta1', 'delta2', 'delta3'), within)),
        }
