"""What losses share: the kind, means over the labelled pixels of the batch on all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from bmtas.kinds import Kind, build_kind, check_suits


class TaskLoss(nn.Module):
    """Logits (N, C[, H, W]) and labels of a task's kind in, a scalar out.

    The scalar is a mean over what is labelled, 0 with a graph where nothing is.

    Args:
        kind: Kind of the task; it says what is labelled.

    Raises:
        ValueError: The loss is not meant for this kind.
    """

    suits: type[Kind] = Kind
    """Kinds that the loss is meant for, theirs and those derived from them."""

    def __init__(self, kind: Kind | str | Mapping[str, Any]) -> None:
        super().__init__()
        self.kind = build_kind(kind)
        check_suits(self, self.kind)


def global_mean(count: Tensor) -> Tensor:
    """Mean of a count over processes while gradients are taken, else the count itself.

    Gradients are averaged over processes; dividing each local sum by the mean count makes that
    average the gradient of one process on the whole batch. Without gradients, processes may see
    different numbers of batches and must not wait for each other.
    """
    count = count.detach().float()
    if torch.is_grad_enabled():
        all_reduce(count, 'mean')
    return count


def mean_over(total: Tensor, count: Tensor) -> Tensor:
    """``total / count``; 0 with a graph where nothing was counted."""
    # one pixel on one of very many processes still counts more than the bound; a much smaller
    # bound would overflow in the backward pass (infinity times zero)
    return total / global_mean(count).clamp_min(1e-4)


def check_shapes(loss: str, logits: Tensor, channels: int | None, target: Tensor) -> None:
    """Raise a ValueError if logits (N, C, H, W) and target (N, [3,] H, W) differ in size."""
    if channels is not None and logits.shape[1] != channels:
        raise ValueError(f'{loss}: logits have {logits.shape[1]} channels, expected {channels}')
    if logits.shape[0] != target.shape[0] or logits.shape[-2:] != target.shape[-2:]:
        raise ValueError(
            f'{loss}: logits {tuple(logits.shape)} and label {tuple(target.shape)} differ in size'
        )
