"""Loss of tasks of kind ``classes``."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bmtas.kinds import Classes
from bmtas.models.losses.reduce import TaskLoss, check_shapes, mean_over
from bmtas.registry import MODELS


@MODELS.register_module()
class CrossEntropyLoss(TaskLoss):
    """Softmax cross-entropy, mean over labelled pixels; 0 where none is labelled."""

    suits = Classes

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, C, H, W), class ids (N, H, W) -> scalar.

        Raises:
            ValueError: Sizes differ, or a class id is not below C (checked on the CPU only; a
                check on a GPU would wait for it, its kernel has an assertion of its own).
        """
        check_shapes('CrossEntropyLoss', logits, None, target)
        if target.device.type == 'cpu':
            self.kind.check(target, 'label')
        total = F.cross_entropy(
            logits.float(), target, ignore_index=self.kind.ignored, reduction='sum'
        )
        return mean_over(total, self.kind.labelled(target).sum())
