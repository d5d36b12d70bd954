"""NDDR-CNN (Gao et al., "Neural Discriminative Dimensionality Reduction", CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.models.blocks import activation_layer
from bmtas.models.encoders.stitched import StitchedEncoder
from bmtas.registry import MODELS


class NDDRUnit(nn.Module):
    """Concatenates all tasks' features and reduces them to each task's width by a 1x1 convolution.

    Args:
        num_tasks: T.
        channels: C.
        alpha: Value of the identity block that takes the task's own feature at the start.
        beta: Value of the identity blocks of the other tasks.
        activation: ``relu``, ``relu6`` or None.
        momentum: Of the batch norms.
    """

    def __init__(
        self,
        num_tasks: int,
        channels: int,
        alpha: float,
        beta: float,
        activation: str | None,
        momentum: float,
    ) -> None:
        super().__init__()
        self.reduce = nn.ModuleList()
        eye = torch.eye(channels)[..., None, None]
        for task in range(num_tasks):
            conv = nn.Conv2d(num_tasks * channels, channels, 1, bias=False)
            values = [alpha if other == task else beta for other in range(num_tasks)]
            with torch.no_grad():
                conv.weight.copy_(torch.cat([value * eye for value in values], dim=1))
            parts = [conv, nn.BatchNorm2d(channels, momentum=momentum)]
            parts += [] if activation is None else [activation_layer(activation)]
            self.reduce.append(nn.Sequential(*parts))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """T tensors (N, C, H, W) -> T tensors (N, C, H, W)."""
        together = torch.cat(list(features), dim=1)
        return [reduce(together) for reduce in self.reduce]


@MODELS.register_module()
class NDDREncoder(StitchedEncoder):
    """Single-task networks joined by NDDR units after the stem and each stage.

    Args:
        backbone, tasks, init_from: As in StitchedEncoder.
        alpha: Weight of the own feature at the start.
        beta: Weight of each other feature; by default the weights add up to 1.
        activation: Behind the batch norm of a unit: ``relu``, ``relu6`` or None.
        momentum: Of the units' batch norms.
    """

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        init_from: str | Sequence[str] | None,
        alpha: float = 0.9,
        beta: float | None = None,
        activation: str | None = 'relu',
        momentum: float = 0.05,
    ) -> None:
        others = max(1, len(tasks) - 1)
        beta = (1 - alpha) / others if beta is None else beta
        self._options = dict(alpha=alpha, beta=beta, activation=activation, momentum=momentum)
        super().__init__(backbone, tasks, init_from)

    def make_unit(self, channels: int) -> nn.Module:
        """An NDDR unit for features of this many channels."""
        return NDDRUnit(len(self.tasks), channels, **self._options)
