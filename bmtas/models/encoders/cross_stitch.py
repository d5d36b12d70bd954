"""Cross-Stitch networks (Misra et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.models.encoders.stitched import StitchedEncoder
from bmtas.registry import MODELS


class CrossStitchUnit(nn.Module):
    """Each task's feature becomes a linear combination of all tasks' features.

    Args:
        num_tasks: T.
        channels: None for one scalar per pair of tasks, C for one value per pair and channel.
        alpha: Weight of the task's own feature at the start.
        beta: Weight of every other task's feature.

    Attributes:
        weight: (T, T) or (T, T, C); row t mixes the new feature of task t.
    """

    def __init__(self, num_tasks: int, channels: int | None, alpha: float, beta: float) -> None:
        super().__init__()
        weight = torch.full((num_tasks, num_tasks), beta).fill_diagonal_(alpha)
        if channels is not None:
            weight = weight[..., None].repeat(1, 1, channels)
        self.weight = nn.Parameter(weight)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """T tensors (N, C, H, W) -> T tensors (N, C, H, W)."""
        weight = self.weight if self.weight.dim() == 2 else self.weight[..., None, None]
        # summed one by one: stacked tensors would lose their memory layout
        return [sum(w * x for w, x in zip(row, features)) for row in weight]


@MODELS.register_module()
class CrossStitchEncoder(StitchedEncoder):
    """Single-task networks joined by cross-stitch units after the stem and each stage.

    Args:
        backbone, tasks, init_from: As in StitchedEncoder.
        alpha: Weight of the own feature at the start.
        beta: Weight of each other feature; by default the rows add up to 1.
        channelwise: One value per channel in place of a scalar.
    """

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        init_from: str | Sequence[str] | None,
        alpha: float = 0.9,
        beta: float | None = None,
        channelwise: bool = False,
    ) -> None:
        others = max(1, len(tasks) - 1)
        self._values = (alpha, (1 - alpha) / others if beta is None else beta)
        self._channelwise = channelwise
        super().__init__(backbone, tasks, init_from)

    def make_unit(self, channels: int) -> nn.Module:
        """A cross-stitch unit for features of this many channels."""
        return CrossStitchUnit(
            len(self.tasks), channels if self._channelwise else None, *self._values
        )
