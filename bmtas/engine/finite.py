"""Numbers that are none: found in the update in which they come up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

REMEDY = (
    'the run stops, its newest checkpoint is from before; lower the learning rate or clip the '
    'gradients (optim_wrapper.clip_grad)'
)


class GradientGuard:
    """Looks at the gradients of every step inside a ``with`` block and at the losses of an update.

    Args:
        wrapper: The optimizers of the run.
    """

    def __init__(self, wrapper: OptimWrapper | OptimWrapperDict) -> None:
        wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        self._optimizers = [entry.optimizer for entry in wrappers]
        self._norms: list[Tensor] = []
        self._handles: list[Any] = []

    def __enter__(self) -> GradientGuard:
        self._handles = [o.register_step_pre_hook(self._note) for o in self._optimizers]
        return self

    def __exit__(self, *error: Any) -> None:
        for handle in self._handles:
            handle.remove()

    def _note(self, optimizer: torch.optim.Optimizer, *args: Any) -> None:
        groups = optimizer.param_groups
        gradients = [p.grad for group in groups for p in group['params'] if p.grad is not None]
        if gradients:
            self._norms.append(nn.utils.get_total_norm(gradients))

    def check(self, outputs: Mapping[str, Any], update: int) -> None:
        """Stop if a loss of an update or the norm of a gradient in it is not finite.

        Args:
            outputs: What the update gives to the log.
            update: Its index.

        Raises:
            ValueError: The update, and the losses (with them the tasks) or the step.
        """
        norms, self._norms = self._norms, []
        losses = {k: torch.as_tensor(v) for k, v in outputs.items() if 'loss' in k}
        tasks = [key for key in losses if not key.endswith('loss')]
        names = tasks if len(norms) == len(tasks) else [''] * len(norms)
        steps = [f'the gradient of {name}' if name else 'the gradient' for name in names]
        values = {**losses, **dict(zip(_distinct(steps), norms))}
        if not values:
            return
        device = next(iter(values.values())).device
        numbers = torch.stack([v.detach().float().to(device).mean() for v in values.values()])
        if bool(numbers.isfinite().all()):
            return
        bad = {k: f'{k} is {n:g}' for k, n in zip(values, numbers.tolist()) if n - n != 0}
        shown = [bad[name] for name in tasks if name in bad] or list(bad.values())
        raise ValueError(f'update {update}: {", ".join(shown)}; {REMEDY}')


def _distinct(names: list[str]) -> list[str]:
    if len(names) < 2 or len(set(names)) == len(names):
        return names
    return [f'{name} of step {number}' for number, name in enumerate(names)]


def check_finite(model: nn.Module, update: int) -> None:
    """Stop a run whose weights are no numbers any more.

    Raises:
        ValueError: A parameter holds NaN or an infinite value.
    """
    parameters = dict(model.named_parameters())
    sums = torch.stack([p.detach().float().sum() for p in parameters.values()])
    if bool(sums.isfinite().all()):
        return
    bad = [name for name, p in parameters.items() if not bool(p.isfinite().all())]
    if bad:
        raise ValueError(
            f'update {update}: {len(bad)} of {len(parameters)} weights are not finite, e.g. '
            f'{bad[0]}; {REMEDY}'
        )
