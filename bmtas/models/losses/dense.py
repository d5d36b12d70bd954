"""Losses of tasks of kind ``normals`` and ``depth``."""

from __future__ import annotations

from torch import Tensor

from bmtas.kinds import MapKind, Normals, unit_vectors
from bmtas.models.losses.reduce import TaskLoss, check_shapes, mean_over
from bmtas.registry import MODELS


@MODELS.register_module()
class NormalsL1Loss(TaskLoss):
    """L1 distance of unit vectors: sum over the 3 channels, mean over labelled pixels."""

    suits = Normals

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Vectors of any length (N, 3, H, W), unit normals (N, 3, H, W), zeros unlabelled."""
        check_shapes('NormalsL1Loss', logits, 3, target)
        valid = self.kind.labelled(target)
        distance = (unit_vectors(logits.float()) - target).abs().sum(dim=1)
        return mean_over((distance * valid).sum(), valid.sum())


@MODELS.register_module()
class DepthL1Loss(TaskLoss):
    """Absolute error of depth, mean over labelled pixels."""

    suits = MapKind

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Depth (N, 1, H, W), labels (N, H, W) in the same unit, 0 unlabelled -> scalar."""
        check_shapes('DepthL1Loss', logits, 1, target)
        valid = self.kind.labelled(target)
        distance = (logits[:, 0].float() - target).abs()
        return mean_over((distance * valid).sum(), valid.sum())
