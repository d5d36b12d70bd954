"""How hard an image is for a task."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmtas.models import MultiTaskModel, stack_labels
from bmtas.tasks import MultiTaskSample

MEASURES = ('metric', 'loss')


@torch.no_grad()
def image_difficulty(
    model: MultiTaskModel, inputs: Tensor, sample: MultiTaskSample, measures: dict[str, str]
) -> list[float]:
    """Difficulty of one image for each task of a model in evaluation mode.

    Args:
        model: The trained network.
        inputs: Normalised image (1, 3, H, W).
        sample: Its labels.
        measures: For each task name 'metric' (the error of its kind) or 'loss'.

    Returns:
        T numbers, NaN without label.
    """
    result = []
    for task, logits in zip(model.tasks, model(inputs).values()):
        target = stack_labels(task, [sample], logits)
        if measures[task.name] == 'metric':
            prediction = task.kind.activate(logits.float())[0]
            result.append(task.kind.error(prediction, target[0]))
        elif task.kind.labelled(target).any():
            result.append(model.losses[task.name](logits, target).item())
        else:
            result.append(math.nan)
    return result
