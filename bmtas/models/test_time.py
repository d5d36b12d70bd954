"""Predictions averaged over flipped and resized copies of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bmtas.kinds import pooled
from bmtas.tasks import Task


@dataclass(frozen=True)
class TestTime:
    """Which copies of an image a prediction is averaged over.

    Args:
        flip: Also mirror each copy left to right.
        scales: Factors of the image's size.

    Raises:
        ValueError: No scale, or one that is not positive.
    """

    __test__ = False  # not a test, whatever its name says to pytest

    flip: bool = False
    scales: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f'scales must be positive, got {list(self.scales)}')

    def logits(
        self,
        run: Callable[[Tensor], Mapping[str, Tensor]],
        inputs: Tensor,
        tasks: Sequence[Task],
    ) -> dict[str, Tensor]:
        """Mean logits by task, (N, C, H, W) or, of image-level tasks, (N, C).

        Args:
            run: The network: images (N, 3, H, W) -> logits by task.
            inputs: Normalised images (N, 3, H, W).
            tasks: The tasks, whose kinds know what a flip or a zoom does to values: the first
                component of a normal changes its sign, a depth grows as its image shrinks.
        """
        size = tuple(inputs.shape[-2:])
        sums: dict[str, Tensor] = {}
        for scale in self.scales:
            scaled = [max(1, round(side * scale)) for side in size]
            images = inputs
            if tuple(scaled) != size:
                images = F.interpolate(inputs, scaled, mode='bilinear', align_corners=False)
            for flip in (False, True)[: 1 + self.flip]:
                found = run(images.flip(-1) if flip else images)
                for task in tasks:
                    values = _undone(task, found[task.name].float(), size, scale, flip)
                    sums[task.name] = sums.get(task.name, 0) + values
        copies = len(self.scales) * (1 + self.flip)
        return {name: total / copies for name, total in sums.items()}


def _undone(task: Task, logits: Tensor, size: Sequence[int], scale: float, flip: bool) -> Tensor:
    """Logits of a changed image as those of the original."""
    if not task.kind.dense:
        return pooled(logits)
    if flip or scale != 1:
        arrays = [np.ascontiguousarray(v) for v in logits.permute(0, 2, 3, 1).cpu().numpy()]
        if flip:
            arrays = [task.kind.mirror(a).reshape(a.shape) for a in arrays]
        if scale != 1:
            arrays = [task.kind.zoomed(a, 1 / scale) for a in arrays]
        logits = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(logits.device)
    return task.kind.resize_logits(logits, size)
