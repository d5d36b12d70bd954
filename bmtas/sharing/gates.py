"""Stretched hard-concrete gates (Louizos et al., ICLR 2018), with the constants of Diff Pruning.

A gate with logit alpha takes values in [0, 1] and is exactly 0 or 1 with positive probability:

    u ~ U(1e-4, 1 - 1e-4),  s = sigmoid(log u - log(1 - u) + alpha),  z = clip(s (r - l) + l, 0, 1)

Everything is element-wise on tensors of any shape.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

LEFT, RIGHT = -1.5, 1.5
WIDTH = RIGHT - LEFT
MARGIN = 1e-4


def logistic_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """log u - log(1 - u) for fresh u, of a tensor's shape; float32 on its device."""
    u = torch.rand(like.shape, generator=generator, device=like.device)
    return u.mul_(1 - 2 * MARGIN).add_(MARGIN).logit_()


def gate(alpha: Tensor, noise: Tensor | float = 0.0) -> Tensor:
    """Gates for given noise; without it the deterministic gates of evaluation, 0 iff alpha <= 0."""
    return (torch.sigmoid(alpha + noise) * WIDTH + LEFT).clamp(0, 1)


def probability_open(alpha: Tensor) -> Tensor:
    """P(z > 0)."""
    return torch.sigmoid(alpha - math.log(-LEFT / RIGHT))


def expected_gate(alpha: Tensor, nodes: int = 12) -> Tensor:
    """E[z], the integral of P(z > t) over t in [0, 1], by Gauss-Legendre quadrature."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    total = torch.zeros_like(alpha)
    for point, weight in zip((points + 1) / 2, weights / 2):
        s = (point - LEFT) / WIDTH
        total += weight * torch.sigmoid(alpha - math.log(s / (1 - s)))
    return total
