"""One update of a search: what is computed, in which order, and which optimizer steps.

The functions know neither runner nor data loader, so that they can be timed and tested alone. Each
takes one collated batch and returns values to log.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from bmtas.engine import SmoothedLogs, active_tasks, reported, step_weights, summed_losses
from bmtas.models import kept_buffers
from bmtas.search.gradient.resource_loss import ResourceTerm

Turn = AbstractContextManager[None]


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


def weight_update(
    model: nn.Module,
    batch: Mapping[str, Any],
    optimizers: OptimWrapperDict,
    weights: Tensor,
    joint: bool = False,
    elasticities: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """Train the weights on one batch, the tasks in turn, for given mixing weights.

    Args:
        model: MultiTaskModel with a supergraph encoder.
        batch: Collated batch.
        optimizers: Wrappers named 'weights' and 'alpha'; only the first steps.
        weights: (L, T, K) mixing weights of the candidates; no gradient flows into them.
        joint: One step on the sum of all tasks' losses instead of one step per task.
        elasticities: By task, for steps on the sum of kappa log L, see ``log_losses``.

    Returns:
        ``loss_<task>`` of the tasks that are labelled in the batch, and their sum ``loss``.
    """
    names = active_tasks(model.tasks, batch['data_samples'])
    data = model.data_preprocessor(batch, True)
    values, weights = {}, weights.detach()
    for group in [names] if joint and names else [[name] for name in names]:
        clear_gradients(optimizers)
        wrapper = optimizers['weights']
        values |= step_weights(model, wrapper, data, group, elasticities, weights=weights)
    clear_gradients(optimizers)
    return reported(values)


def warmup_update(
    model: nn.Module,
    batch: Mapping[str, Any],
    optimizers: OptimWrapperDict,
    joint: bool = False,
    elasticities: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """Train each candidate on its own task only; see ``weight_update``."""
    weights = model.encoder.warmup_weights()
    return weight_update(model, batch, optimizers, weights, joint, elasticities)


def alpha_update(
    model: nn.Module,
    batch: Mapping[str, Any],
    optimizers: OptimWrapperDict,
    weights: Tensor,
    resource: ResourceTerm | None = None,
    generator: torch.Generator | None = None,
    logs: SmoothedLogs | None = None,
) -> dict[str, Tensor]:
    """One step of alpha on the sum of the tasks' losses and the resource term.

    The tasks are run one after the other, so that the activations of one task are alive at a time;
    their gradients meet in the mixing weights, from where they flow into alpha once.

    Args:
        model, batch, optimizers: As in ``weight_update``; only 'alpha' steps.
        weights: (L, T, K) mixing weights, differentiable in alpha.
        resource: The resource term, if any.
        generator: Random numbers of a sampled resource term.
        logs: Factors that put the tasks' losses on one scale; None takes them as they are.

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
    with frozen(split_parameters(model)[0]), _same_images(model, mixing) as turn:
        for name in names:
            with turn(), wrapper.optim_context(model):
                total, losses = summed_losses(model, data, tasks=[name], weights=mixing)
            if logs is not None:
                total = total * logs.factor(name, losses[f'loss_{name}'])
            wrapper.backward(total)
            values |= losses
    if mixing.grad is not None:
        if get_world_size() > 1:
            all_reduce(mixing.grad, op='mean')
        weights.backward(mixing.grad)
    values = {f'alpha/{key}': value for key, value in reported(values).items()}
    factor = resource.factor(len(names)) if resource is not None else 0.0
    if factor and names:
        term = factor * resource.cost(alpha, generator=generator)
        term.backward()
        values['loss_resource'] = term.detach()
    if names:
        wrapper.step()
    clear_gradients(optimizers)
    return values


@contextmanager
def _same_images(model: nn.Module, weights: Tensor) -> Iterator[Callable[[], Turn]]:
    """What is the same for all tasks runs once; gives the context of each task's forward pass.

    A graph cannot hand it on to the next one. There it runs again for every task, and moves its
    running statistics once all the same.
    """
    encoder, captured = model.encoder, model.captured
    if captured is None or not bool((weights != 0).all()):
        as_ever = captured.off() if captured else nullcontext()
        with as_ever, encoder.same_images():
            yield nullcontext
        return
    turns = itertools.count()
    yield lambda: kept_buffers(encoder.alike()) if next(turns) else nullcontext()
