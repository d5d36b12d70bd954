"""Weighing the tasks' losses or their gradients, by the library torchjd.

A *scalarizer* makes one loss of the T losses; an *aggregator* makes one gradient of the T
gradients, in the parameters that at least two tasks share. Both work for any encoder.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from torch import Tensor, nn

from bmtas.engine.balancing_methods import (
    DEFAULTS,
    SUM_LIKE,
    check_method,
    inner_optimizers,
    is_scalarizer,
    memory,
    steps_itself,
)


class Balancer:
    """One method of torchjd with all it keeps between updates.

    A task without a label in the batch enters a scalarizer with the loss it had last, detached: no
    gradient comes from it, and what the method has learned about it stays. An aggregator does not
    see its row.

    Args:
        num_tasks: T.
        method: Name of the method: ``UW`` (uncertainty), ``DWA``, ``FAMO``, ``GeometricMean``,
            ``Random``, ... or ``PCGrad``, ``MGDA``, ``CAGrad``, ``AlignedMTL``, ``UPGrad``, ...
        lr: Learning rate of the method's own parameters (those of ``UW`` and ``IMTLL``; Adam).
        device: Where the losses are.
        kwargs: Arguments of the method.

    Raises:
        ValueError: Unknown method or argument, or a library it needs is missing.
    """

    def __init__(
        self,
        num_tasks: int,
        method: str,
        lr: float = 0.01,
        device: torch.device | str = 'cpu',
        **kwargs: Any,
    ) -> None:
        cls = check_method(method, **kwargs)
        parameters = inspect.signature(cls).parameters
        kwargs = {**DEFAULTS.get(method, {}), **kwargs}
        if 'shape' in parameters:
            kwargs.setdefault('shape', num_tasks)
        if 'lr' in parameters:
            kwargs.setdefault('lr', lr)
        try:
            self.method = cls(**kwargs).to(device)
        except (ImportError, TypeError) as error:
            raise ValueError(f'train_cfg.balancing: {method}: {error}') from None
        self.name = method
        self.is_aggregator = not is_scalarizer(cls)
        self.last_losses = torch.ones(num_tasks, device=device)
        own = [p for p in self.method.parameters() if not steps_itself(self.method)]
        self.optimizer = torch.optim.Adam(own, lr=lr) if own else None

    @property
    def is_sum_like(self) -> bool:
        """Whether shared blocks receive a sum of gradients, which the lr rule compensates."""
        return self.name in SUM_LIKE

    def scalarize(self, losses: Tensor, present: Tensor) -> Tensor:
        """One loss of T.

        Args:
            losses: (T,) with graph.
            present: (T,) bool, False for tasks without a label in the batch.
        """
        losses = torch.where(present, losses, self.last_losses.to(losses))
        losses = _global_mean(losses)
        self.last_losses = losses.detach()
        return self.method(losses)

    def aggregate(
        self, losses: Sequence[Tensor], present: Tensor, parameters: Iterable[nn.Parameter]
    ) -> None:
        """Fill ``.grad``: aggregated where tasks share a parameter, their own elsewhere.

        Args:
            losses: T scalars, not cut from one tensor: through it each would reach, with zeros,
                every parameter.
            present: (T,) bool; the rows of the other tasks are left out.
            parameters: All that are trained.
        """
        parameters = [p for p in parameters if p.requires_grad]
        rows = [
            torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            for loss, here in zip(losses, present.tolist())
            if here
        ]
        shared = []
        for parameter, column in zip(parameters, zip(*rows)):
            reached = [gradient for gradient in column if gradient is not None]
            if len(reached) > 1:
                shared.append((parameter, [_or_zeros(g, parameter) for g in column]))
            elif reached:
                parameter.grad = _mean_over_ranks(reached[0].clone())
        if shared:
            self._aggregate_shared(shared)

    def _aggregate_shared(self, shared: list[tuple[nn.Parameter, list[Tensor]]]) -> None:
        num_rows = len(shared[0][1])
        matrix = torch.stack(
            [torch.cat([column[row].flatten() for _, column in shared]) for row in range(num_rows)]
        )
        direction = self.method(_mean_over_ranks(matrix))
        parts = direction.split([parameter.numel() for parameter, _ in shared])
        for (parameter, _), part in zip(shared, parts):
            parameter.grad = part.reshape(parameter.shape).clone()

    def step(self, losses_again: Callable[[], Tensor], present: Tensor) -> None:
        """Move the method's own parameters; call after the optimizer's step.

        Args:
            losses_again: The (T,) losses of the same batch with the weights after the step; called
                by methods that need them (FAMO) only.
            present: (T,) bool.
        """
        if self.optimizer is not None:
            self.optimizer.step()
            self.optimizer.zero_grad()
        if hasattr(self.method, 'update'):
            with torch.no_grad():
                losses = torch.where(present, losses_again(), self.last_losses)
                self.method.update(_global_mean(losses))

    def end_pass(self) -> None:
        """Tell methods with an epoch's memory (DWA) that a pass over the data has ended."""
        if not self.is_aggregator and hasattr(self.method, 'step'):
            self.method.step()

    def state_dict(self) -> dict[str, Any]:
        """All that is kept between updates, as tensors and plain values."""
        state = dict(
            method=self.method.state_dict(),
            last_losses=self.last_losses,
            memory=memory(self.method),
            inner=[optimizer.state_dict() for optimizer in inner_optimizers(self.method)],
        )
        if self.optimizer is not None:
            state['optimizer'] = self.optimizer.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state_dict``."""
        self.last_losses = state['last_losses'].to(self.last_losses)
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state['optimizer'])
        if state['inner'] and not inner_optimizers(self.method):
            # FAMO makes its optimizer in its first update
            self.method(torch.ones_like(self.last_losses))
            self.method.update(torch.ones_like(self.last_losses))
        for optimizer, inner in zip(inner_optimizers(self.method), state['inner']):
            optimizer.load_state_dict(inner)
        self.method.load_state_dict(state['method'])
        modules = dict(self.method.named_modules())
        for name, values in state['memory'].items():
            for key, value in values.items():
                setattr(modules[name], key, value)


def _or_zeros(gradient: Tensor | None, parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient


def _mean_over_ranks(values: Tensor) -> Tensor:
    all_reduce(values, 'mean')
    return values


def _global_mean(losses: Tensor) -> Tensor:
    """Values averaged over ranks, gradient of this rank's losses.

    With the gradients averaged afterwards, every method sees and gives what it would on one rank.
    """
    if get_world_size() == 1:
        return losses
    return losses + (_mean_over_ranks(losses.detach().clone()) - losses.detach())


class BalancerStateHook(Hook):
    """Keeps a balancer's state in the checkpoints of its run, and takes it back on resume."""

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add the state under ``balancing``."""
        checkpoint['balancing'] = self.balancer.state_dict()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Take the state back in a resumed run; a run that only starts from weights begins anew."""
        if runner._resume and 'balancing' in checkpoint:
            self.balancer.load_state_dict(checkpoint['balancing'])
