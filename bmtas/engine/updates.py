"""One update of a search: what is computed, in which order, and which optimizer steps.

The functions know neither runner nor data loader, so that they can be timed and tested alone. Each
takes one collated batch and returns values to log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from bmtas.branching import expected_cost
from bmtas.resources import ResourceTable
from bmtas.structures import IGNORE, MultiTaskSample, Task

MODES = ('exact', 'paper', 'sampled')

SCALES: Mapping[str, tuple[float, str]] = {
    'MAdds': (1e9, 'GMAdd'),
    'params': (1e6, 'M params'),
    'bytes': (1e6, 'MB'),
    'us': (1e3, 'ms'),
}
"""By unit of a resource table, the unit that its costs are weighed and logged in."""


@dataclass(frozen=True)
class ResourceTerm:
    """The resource term of the search: lambda times the expected cost of the encoder's layers.

    Args:
        table: The resource table.
        weight: lambda, per GMAdd (or the table's unit in ``SCALES``).
        mode: 'exact', 'paper' or 'sampled', see ``bmtas.branching.expected_cost``.
        unit: 'gflops' if lambda is given per GFLOP, as in the public code: 1 GMAdd = 2 GFLOPs.
        per_task: Add the term once for each task of the batch, as the public code does, instead of
            once for each update.
        num_samples: Draws of the sampled mode.

    Raises:
        ValueError: Unknown unit or a negative weight.
    """

    table: ResourceTable
    weight: float = 0.0
    mode: str = 'exact'
    unit: str | None = None
    per_task: bool = False
    num_samples: int = 16

    def __post_init__(self) -> None:
        if self.unit not in (None, 'gflops'):
            raise ValueError(f"resource_loss.unit: {self.unit!r}, it may only be 'gflops'")
        if self.unit == 'gflops' and self.table.unit != 'MAdds':
            raise ValueError(f'resource_loss.unit: gflops, but the table counts {self.table.unit}')
        if self.mode not in MODES:
            raise ValueError(f'resource_loss.mode: {self.mode!r}, choose from {MODES}')
        if self.weight < 0:
            raise ValueError(f'resource_loss.weight: must not be negative, got {self.weight}')

    @property
    def scale(self) -> float:
        """What the costs of the table are divided by."""
        return SCALES[self.table.unit][0]

    @property
    def unit_name(self) -> str:
        """Name of the unit of ``cost``."""
        return SCALES[self.table.unit][1]

    def factor(self, num_tasks: int) -> float:
        """lambda in effect, per ``unit_name``, in an update with this number of tasks."""
        scale = 2.0 if self.unit == 'gflops' else 1.0
        return self.weight * scale * (num_tasks if self.per_task else 1)

    def cost(
        self, alpha: Tensor, mode: str | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Expected cost of the layers in ``unit_name``, for alpha (L, T, K); scalar."""
        costs = [cost / self.scale for cost in self.table.layers]
        return expected_cost(
            alpha, costs, mode or self.mode, num_samples=self.num_samples, generator=generator
        )


def is_labelled(task: Task, sample: MultiTaskSample) -> bool:
    """Whether a sample has any valid pixel of a task's label."""
    if task.label not in sample.labels:
        return False
    label = sample.labels[task.label]
    if task.kind in ('classes', 'mask'):
        return bool((label != IGNORE).any())
    return bool((label != 0).any())


def active_tasks(tasks: Iterable[Task], samples: Sequence[MultiTaskSample]) -> list[str]:
    """Names of the tasks that are labelled somewhere in the global batch; the same on all ranks."""
    tasks = list(tasks)
    found = torch.tensor(
        [any(is_labelled(task, sample) for sample in samples) for task in tasks],
        dtype=torch.float32,
    )
    if get_world_size() > 1:
        device = 'cuda' if torch.distributed.get_backend() == 'nccl' else 'cpu'
        found = found.to(device)
        all_reduce(found, op='max')
    return [task.name for task, flag in zip(tasks, found.tolist()) if flag]


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """No gradient is computed for these parameters inside the context."""
    changed = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        for parameter in changed:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in changed:
            parameter.requires_grad_(True)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters of a model with a supergraph: weights and alpha."""
    alpha = list(model.encoder.arch_parameters())
    known = {id(parameter) for parameter in alpha}
    return [p for p in model.parameters() if id(p) not in known], alpha


def clear_gradients(optimizers: OptimWrapperDict) -> None:
    """Drop all gradients: the next backward pass fills those of one group only."""
    for wrapper in optimizers.values():
        wrapper.zero_grad(set_to_none=True)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over the processes; all must have run the same tasks and candidates."""
    if get_world_size() > 1:
        all_reduce_params([p.grad for p in parameters if p.grad is not None], op='mean')


def _losses(model: nn.Module, data: Mapping, **options: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the losses of a forward pass and each of them, detached."""
    total, values = model.parse_losses(model(**data, mode='loss', **options))
    return total, {key: value.detach() for key, value in values.items() if key != 'loss'}


def step_weights(
    model: nn.Module, wrapper: OptimWrapper, data: Mapping, names: Sequence[str], **routing: Any
) -> dict[str, Tensor]:
    """One step of an optimizer on the sum of some tasks' losses; gradients must be clear before.

    Args:
        model: The model itself, not its distributed wrapper: which parameters take part differs
            from step to step, so the gradients are averaged here.
        wrapper: The optimizer.
        data: Preprocessed batch.
        names: Tasks.
        routing: Passed to the encoder.
    """
    with wrapper.optim_context(model):
        total, values = _losses(model, data, tasks=names, **routing)
    wrapper.backward(total)
    average_gradients(p for group in wrapper.optimizer.param_groups for p in group['params'])
    wrapper.step()
    return values


def weight_update(
    model: nn.Module,
    batch: Mapping[str, Any],
    optimizers: OptimWrapperDict,
    weights: Tensor,
    joint: bool = False,
) -> dict[str, Tensor]:
    """Train the weights on one batch, the tasks in turn, for given mixing weights.

    Args:
        model: MultiTaskModel with a supergraph encoder.
        batch: Collated batch.
        optimizers: Wrappers named 'weights' and 'alpha'; only the first steps.
        weights: (L, T, K) mixing weights of the candidates; no gradient flows into them.
        joint: One step on the sum of all tasks' losses instead of one step per task.

    Returns:
        ``loss_<task>`` of the tasks that are labelled in the batch, and their sum ``loss``.
    """
    names = active_tasks(model.tasks, batch['data_samples'])
    data = model.data_preprocessor(batch, True)
    values: dict[str, Tensor] = {}
    for group in [names] if joint and names else [[name] for name in names]:
        clear_gradients(optimizers)
        wrapper = optimizers['weights']
        values |= step_weights(model, wrapper, data, group, weights=weights.detach())
    clear_gradients(optimizers)
    return report(values)


def warmup_update(
    model: nn.Module, batch: Mapping[str, Any], optimizers: OptimWrapperDict, joint: bool = False
) -> dict[str, Tensor]:
    """Train each candidate on its own task only; see ``weight_update``."""
    weights = model.encoder.warmup_weights()
    return weight_update(model, batch, optimizers, weights, joint)


def alpha_update(
    model: nn.Module,
    batch: Mapping[str, Any],
    optimizers: OptimWrapperDict,
    weights: Tensor,
    resource: ResourceTerm | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """One step of alpha on the sum of the tasks' losses and the resource term.

    The tasks are run one after the other, so that the activations of one task are alive at a time;
    their gradients meet in the mixing weights, from where they flow into alpha once.

    Args:
        model, batch, optimizers: As in ``weight_update``; only 'alpha' steps.
        weights: (L, T, K) mixing weights, differentiable in alpha.
        resource: The resource term, if any.
        generator: Random numbers of a sampled resource term.

    Returns:
        ``alpha/loss_<task>`` of the labelled tasks, ``alpha/loss`` their sum, ``loss_resource``.
    """
    names = active_tasks(model.tasks, batch['data_samples'])
    data = model.data_preprocessor(batch, True)
    wrapper = optimizers['alpha']
    alpha = model.encoder.alpha
    mixing = weights.detach().requires_grad_()
    values: dict[str, Tensor] = {}
    clear_gradients(optimizers)
    with frozen(split_parameters(model)[0]):
        for name in names:
            with wrapper.optim_context(model):
                total, losses = _losses(model, data, tasks=[name], weights=mixing)
            wrapper.backward(total)
            values |= losses
    if mixing.grad is not None:
        if get_world_size() > 1:
            all_reduce(mixing.grad, op='mean')
        weights.backward(mixing.grad)
    values = {f'alpha/{key}': value for key, value in report(values).items()}
    factor = resource.factor(len(names)) if resource is not None else 0.0
    if factor and names:
        term = factor * resource.cost(alpha, generator=generator)
        term.backward()
        values['loss_resource'] = term.detach()
    if names:
        wrapper.step()
    clear_gradients(optimizers)
    return values


def report(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The losses, averaged over the processes, and before them their sum."""
    if not values:
        return {}
    losses = torch.stack([value.float() for value in values.values()])
    if get_world_size() > 1:
        all_reduce(losses, op='mean')
    return {'loss': losses.sum(), **dict(zip(values, losses))}
