"""Angular error of surface normals."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from bmtas.evaluation.base import TaskMetric, ratio
from bmtas.kinds import Normals
from bmtas.registry import METRICS

BINS_PER_DEGREE = 100


@METRICS.register_module()
class NormalsError(TaskMetric):
    """Angle between predicted and true normals over all labelled pixels of the data set.

    ``mean``, ``median`` and ``rmse`` in degrees; ``within_11.25``, ``within_22.5`` and
    ``within_30``: share of pixels below that angle, in percent. The median comes from a histogram
    with bins of 0.01 degrees, interpolated inside its bin, and is exact to 0.01 degrees; all
    other values are exact. Both vectors are normalised; a predicted zero vector counts as 90
    degrees.

    Predictions and labels are (3, H, W); pixels without label do not count.
    """

    limits = {'within_11.25': 11.25, 'within_22.5': 22.5, 'within_30': 30.0}
    suits = Normals
    scores = dict(mean=False, median=False, rmse=False) | dict.fromkeys(limits, True)

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.kind.labelled(target)
        angle = angle_between(prediction[:, valid], target[:, valid])
        bins = (angle * BINS_PER_DEGREE).long().clamp(max=180 * BINS_PER_DEGREE - 1)
        return {
            'pixels': valid.sum(),
            'angle': angle.sum(),
            'squared': (angle * angle).sum(),
            'within': torch.stack([(angle < limit).sum() for limit in self.limits.values()]),
            'histogram': torch.bincount(bins, minlength=180 * BINS_PER_DEGREE),
        }

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        pixels = sums['pixels']
        within = [100 * float(share) for share in ratio(sums['within'], pixels)]
        return {
            'mean': float(ratio(sums['angle'], pixels)),
            'median': histogram_median(sums['histogram']) / BINS_PER_DEGREE,
            'rmse': math.sqrt(float(ratio(sums['squared'], pixels))),
            **dict(zip(self.limits, within)),
        }


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Angle in degrees between vectors (3, M), (M,) float64.

    2 atan2(|a - b|, |a + b|) of the unit vectors: unlike arccos it keeps its precision near 0.
    """
    first = functional.normalize(first.double(), dim=0)
    second = functional.normalize(second.double(), dim=0)
    angle = 2 * torch.atan2((first - second).norm(dim=0), (first + second).norm(dim=0))
    return torch.rad2deg(angle)


def histogram_median(histogram: Tensor) -> float:
    """Median in units of bins, linear inside its bin; NaN for an empty histogram."""
    total = int(histogram.sum())
    if total == 0:
        return float('nan')
    cumulative = histogram.cumsum(0)
    index = int(torch.searchsorted(2 * cumulative, torch.tensor(total)))
    below = int(cumulative[index] - histogram[index])
    return index + (total / 2 - below) / int(histogram[index])
