"""How hard an image is for a task."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmtas.models import MultiTaskModel
from bmtas.models.multi_task_model import activate, stack_labels
from bmtas.structures import IGNORE, MultiTaskSample, Task

KINDS = ('metric', 'loss')


def metric_difficulty(task: Task, logits: Tensor, target: Tensor) -> float:
    """Error of one image by the task's kind, higher is worse; NaN without a labelled pixel.

    Classes: 1 - mean IoU over the classes present. Mask: 1 - IoU at probability 0.5. Normals: mean
    angle in degrees. Depth: root of the mean squared error.

    Args:
        task: The task.
        logits: (1, C, H, W).
        target: (1, H, W), for normals (1, 3, H, W).
    """
    valid = labelled(task, target)[0]
    if not valid.any():
        return math.nan
    prediction, truth = activate(task, logits)[0], target[0]
    if task.kind == 'classes':
        return 1 - _mean_iou(prediction[valid], truth[valid])
    if task.kind == 'mask':
        return 1 - _iou(prediction[valid] >= 0.5, truth[valid] == 1)
    if task.kind == 'normals':
        cosine = (prediction * truth).sum(0)[valid].clamp(-1, 1)
        return torch.rad2deg(torch.acos(cosine)).mean().item()
    return (prediction - truth)[valid].square().mean().sqrt().item()


def labelled(task: Task, target: Tensor) -> Tensor:
    """Pixels with a label, (N, H, W) bool."""
    if task.kind == 'normals':
        return (target != 0).any(1)
    return target > 0 if task.kind == 'depth' else target != IGNORE


def _iou(prediction: Tensor, truth: Tensor) -> float:
    union = (prediction | truth).sum().item()
    return (prediction & truth).sum().item() / union if union else 1.0


def _mean_iou(prediction: Tensor, truth: Tensor) -> float:
    present = truth.unique().tolist()
    return sum(_iou(prediction == c, truth == c) for c in present) / len(present)


@torch.no_grad()
def image_difficulty(
    model: MultiTaskModel, inputs: Tensor, sample: MultiTaskSample, kinds: dict[str, str]
) -> list[float]:
    """Difficulty of one image for each task of a model in evaluation mode.

    Args:
        model: The trained network.
        inputs: Normalised image (1, 3, H, W).
        sample: Its labels.
        kinds: For each task name 'metric' or 'loss'.

    Returns:
        T numbers, NaN without label.
    """
    result = []
    for task, logits in zip(model.tasks, model(inputs).values()):
        target = stack_labels(task, [sample], logits)
        if kinds[task.name] == 'metric':
            result.append(metric_difficulty(task, logits.float(), target))
        elif labelled(task, target).any():
            result.append(model.losses[task.name](logits, target).item())
        else:
            result.append(math.nan)
    return result
