"""The task routing layer: a 0/1 mask over channels, chosen by the active task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from bmtas.task_routing.masks import MaskRequest, check_keep_ratio, draw_mask

ActiveTask = int | Tensor | None


class Routable(nn.Module):
    """A module that acts differently for each task.

    Attributes:
        task: The active task: a number, a tensor of B ids for a batch in which every sample has its
            own, or None. Set by ``active_task`` or by the encoder.
    """

    task: ActiveTask = None

    def _tasks(self, task: ActiveTask, batch: int, count: int) -> int | Tensor:
        """The task of a call, checked."""
        task = self.task if task is None else task
        if task is None:
            raise ValueError(
                f'{type(self).__name__}: no active task; call it with one or inside '
                'active_task(model, task)'
            )
        if not isinstance(task, Tensor):
            low = high = int(task)
        elif task.shape != (batch,):
            raise ValueError(f'task ids: shape {tuple(task.shape)} for a batch of {batch}')
        else:
            # reading the values of a tensor stops a GPU
            low, high = (0, 0) if task.device.type != 'cpu' else map(int, task.aminmax())
        if low < 0 or high >= count:
            raise ValueError(f'task ids: {low if low < 0 else high} is not among {count} tasks')
        return task if isinstance(task, Tensor) else low


class TaskRouter(Routable):
    """Multiplies every channel by 0 or 1, as the mask of the active task says.

    It has no parameters. The gradient of a masked channel is exactly zero, whatever follows.

    Args:
        unit_count: C channels.
        task_count: T tasks.
        keep_ratio: Share of the channels that a task keeps, in (0, 1].
        scheme: One of ``masks.SCHEMES``.
        seed, name: Masks are a function of both; give each layer a name of its own.
        dim: Dimension of the channels: 1 for (B, C, ...), -1 for token sequences (B, N, C).
        mask: (T, C) bool, instead of drawing one.
        options: Options of the scheme, e.g. ``group_size=8``.

    Attributes:
        mask: Bool buffer (T, C).

    Raises:
        ValueError: A ratio outside (0, 1], an unknown scheme, or a task without any channel.
    """

    def __init__(
        self,
        unit_count: int,
        task_count: int,
        keep_ratio: float = 0.5,
        scheme: str = 'random_exact',
        seed: int = 0,
        name: str = '',
        dim: int = 1,
        mask: np.ndarray | None = None,
        **options,
    ) -> None:
        super().__init__()
        self.dim = dim
        if mask is None:
            tasks = [str(t) for t in range(task_count)]
            request = MaskRequest(name, unit_count, tasks, keep_ratio, seed, options)
            mask = draw_mask(scheme, request)
        # a copy on the CPU, also where modules are built on the meta device
        self.register_buffer('mask', torch.from_numpy(np.array(mask, bool)))

    @classmethod
    def from_sigma(
        cls,
        unit_count: int,
        task_count: int,
        sigma: float,
        convention: str | None = None,
        **options,
    ) -> TaskRouter:
        """A router from the sigma of published code, of which two meanings circulate.

        Args:
            unit_count, task_count, options: As for the class.
            sigma: A ratio.
            convention: ``zeroed``: int(C * sigma) channels are masked (the public code of Task
                Routing). ``kept``: sigma is the share that is kept (Maximum Roaming).

        Raises:
            ValueError: No convention, or a ratio that leaves no channel.
        """
        if convention not in ('zeroed', 'kept'):
            raise ValueError(
                f"sigma={sigma}: convention {convention!r}, say 'zeroed' (sigma is the share that "
                "is masked) or 'kept' (the share that stays)"
            )
        if convention == 'zeroed':
            sigma = (unit_count - int(unit_count * sigma)) / unit_count
        check_keep_ratio(sigma)
        return cls(unit_count, task_count, sigma, **options)

    def forward(self, x: Tensor, task: ActiveTask = None) -> Tensor:
        """Mask ``x``, of any shape with B first and C at ``dim``, for a task or for B task ids."""
        count, units = self.mask.shape
        if x.shape[self.dim] != units:
            raise ValueError(
                f'TaskRouter: made for {units} channels, got {x.shape[self.dim]} in dimension '
                f'{self.dim}'
            )
        task = self._tasks(task, len(x), count)
        shape = [1] * x.dim()
        shape[self.dim] = units
        if isinstance(task, Tensor):
            shape[0] = len(x)
        return x * self.mask[task].view(shape).to(x.dtype)

    def extra_repr(self) -> str:
        """Sizes."""
        tasks, units = self.mask.shape
        return f'{units}, tasks={tasks}'


@contextmanager
def active_task(model: nn.Module, task: ActiveTask) -> Iterator[None]:
    """Set the task of all routers below a module, and restore what it was at the end.

    Args:
        model: Any module.
        task: Number of a task, or a tensor of B ids.
    """
    modules = [module for module in model.modules() if isinstance(module, Routable)]
    before = [module.task for module in modules]
    set_task(modules, task)
    try:
        yield
    finally:
        for module, old in zip(modules, before):
            module.task = old


def set_task(modules: Sequence[Routable], task: ActiveTask) -> None:
    """Set the active task of routers."""
    for module in modules:
        module.task = task
