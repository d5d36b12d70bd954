"""Loss of tasks of kind ``category``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bmtas.kinds import Category, Kind, pooled
from bmtas.models.losses.reduce import TaskLoss, mean_over
from bmtas.registry import MODELS


@MODELS.register_module()
class CategoryLoss(TaskLoss):
    """Softmax cross-entropy of the image's class, mean over labelled images; 0 where none is.

    Args:
        kind: Kind of the task.
        class_weights: Factor of each class's images; their mean stays a mean over images, so that
            it does not change with the classes that a batch happens to hold.
        label_smoothing: s in [0, 1): the target is 1 - s plus s / C for the right class and s / C
            for the others (Szegedy et al., CVPR 2016, section 7).

    Raises:
        ValueError: Another number of weights than classes, or a value out of range.
    """

    suits = Category

    def __init__(
        self,
        kind: Kind,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(kind)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f'CategoryLoss: label_smoothing must be in [0, 1), got {label_smoothing}'
            )
        if class_weights is not None:
            if len(class_weights) != self.kind.channels or not min(class_weights) >= 0:
                raise ValueError(
                    f'CategoryLoss: class_weights must be {self.kind.channels} numbers of at least '
                    f'0, got {list(class_weights)}'
                )
            class_weights = torch.tensor([float(weight) for weight in class_weights])
        self.register_buffer('class_weights', class_weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits of the image (N, C), class ids (N,) -> scalar.

        Raises:
            ValueError: Other shapes, or an id that is no class (checked on the CPU only).
        """
        logits = pooled(logits).float()
        if target.shape != logits.shape[:1]:
            raise ValueError(
                f'CategoryLoss: {tuple(logits.shape)} logits need one class for each image, the '
                f'labels are {tuple(target.shape)}'
            )
        if target.device.type == 'cpu':
            self.kind.check(target, 'label')
        total = F.cross_entropy(
            logits,
            target,
            self.class_weights,
            ignore_index=self.kind.ignored,
            reduction='sum',
            label_smoothing=self.label_smoothing,
        )
        return mean_over(total, self.kind.labelled(target).sum())
