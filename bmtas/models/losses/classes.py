"""Loss of tasks of kind ``classes``."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.models.losses.reduce import check_shapes, mean_over
from bmtas.registry import MODELS
from bmtas.structures import IGNORE


@MODELS.register_module()
class CrossEntropyLoss(nn.Module):
    """Softmax cross-entropy, mean over labelled pixels; 0 where none is labelled."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (N, C, H, W), class ids (N, H, W) with 255 ignored -> scalar.

        Raises:
            ValueError: Sizes differ, or a class id is not below C (checked on the CPU only; a
                check on a GPU would wait for it, its kernel has an assertion of its own).
        """
        check_shapes('CrossEntropyLoss', logits, None, target)
        if target.device.type == 'cpu':
            check_class_ids(target, logits.shape[1])
        total = F.cross_entropy(logits.float(), target, ignore_index=IGNORE, reduction='sum')
        return mean_over(total, (target != IGNORE).sum())


def check_class_ids(target: Tensor, num_classes: int, where: str = 'label') -> None:
    """Raise a ValueError naming the first id that is neither in 0 ... C-1 nor ignored."""
    faulty = ((target < 0) | (target >= num_classes)) & (target != IGNORE)
    if faulty.any():
        value = int(target[faulty][0])
        raise ValueError(
            f'{where}: class id {value}, but there are {num_classes} classes '
            f'(0 to {num_classes - 1}, {IGNORE} is ignored)'
        )
