"""What every loop's updates are made of; knows neither runner nor data loader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, all_reduce_params
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from bmtas.engine.log_losses import on_log_scale
from bmtas.tasks import MultiTaskSample, Task


def is_labelled(task: Task, sample: MultiTaskSample) -> bool:
    """Whether anything in a sample's label of a task is labelled."""
    label = sample.labels.get(task.label)
    return label is not None and bool(task.kind.labelled(label).any())


def active_tasks(tasks: Iterable[Task], samples: Sequence[MultiTaskSample]) -> list[str]:
    """Names of the tasks that are labelled somewhere in the global batch; the same on all ranks."""
    tasks = list(tasks)
    found = torch.tensor(
        [any(is_labelled(task, sample) for sample in samples) for task in tasks],
        dtype=torch.float32,
    )
    all_reduce(found, 'max')
    return [task.name for task, flag in zip(tasks, found.tolist()) if flag]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over the processes; all must have run the same tasks and candidates."""
    all_reduce_params([p.grad for p in parameters if p.grad is not None], op='mean')


def summed_losses(
    model: nn.Module,
    data: Mapping,
    elasticities: Mapping[str, float] | None = None,
    **options: Any,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the losses of a forward pass, or of their logs; and each of them, detached."""
    losses = model(**data, mode='loss', **options)
    total = sum(on_log_scale(losses, elasticities).values())
    return total, {key: value.detach() for key, value in losses.items()}


def step_weights(
    model: nn.Module,
    wrapper: OptimWrapper,
    data: Mapping,
    names: Sequence[str],
    elasticities: Mapping[str, float] | None = None,
    **routing: Any,
) -> dict[str, Tensor]:
    """One step of an optimizer on the sum of some tasks' losses; gradients must be clear before.

    Args:
        model: The model itself, not its distributed wrapper: which parameters take part differs
            from step to step, so the gradients are averaged here.
        wrapper: The optimizer.
        data: Preprocessed batch.
        names: Tasks.
        elasticities: By task, for a step on the sum of kappa log L, see ``log_losses``.
        routing: Passed to the encoder.
    """
    with wrapper.optim_context(model):
        total, values = summed_losses(model, data, elasticities, tasks=names, **routing)
    wrapper.backward(total)
    average_gradients(p for group in wrapper.optimizer.param_groups for p in group['params'])
    wrapper.step()
    return values


def reported(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values averaged over the processes, and before them the sum of those that are losses."""
    if not values:
        return {}
    numbers = torch.stack([value.float() for value in values.values()])
    all_reduce(numbers, 'mean')
    shown = dict(zip(values, numbers))
    # what mmengine's parse_losses adds up, and the gradient is of
    losses = [number for name, number in shown.items() if 'loss' in name]
    return {'loss': sum(losses, start=numbers.new_zeros(())), **shown}
