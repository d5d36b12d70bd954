"""Modules with a mask behind them, put into a network and taken out again."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bmtas.models.backbones import PooledBatchNorm2d
from bmtas.task_routing.norms import TaskBatchNorm
from bmtas.task_routing.router import TaskRouter
from bmtas.task_routing.units import Site

_TASK_NORMS = dict(per_task=_BatchNorm, per_task_stats=_BatchNorm, batch_stats=PooledBatchNorm2d)
"""Norms whose statistics belong to a task, by the option ``norm``."""


class Routed(nn.Module):
    """A norm or convolution with the router behind it."""

    def __init__(self, inner: nn.Module, router: nn.Module) -> None:
        super().__init__()
        self.inner, self.router = inner, router

    def forward(self, x: Tensor) -> Tensor:
        """Run both."""
        return self.router(self.inner(x))


class ChannelMask(nn.Module):
    """The fixed mask of a head, which belongs to one task."""

    def __init__(self, kept: np.ndarray) -> None:
        super().__init__()
        self.register_buffer('mask', torch.from_numpy(kept))

    def forward(self, x: Tensor) -> Tensor:
        """Mask (N, C, H, W)."""
        return x * self.mask.view(-1, 1, 1).to(x.dtype)


def plain_head(head: nn.Module) -> nn.Module:
    """A copy of a head without masks."""
    head = copy.deepcopy(head)
    for name, module in list(head.named_modules()):
        if isinstance(module, Routed):
            head.set_submodule(name, module.inner)
    return head


def with_routers(part: nn.Module, sites: Iterable[Site], kept: np.ndarray, norm: str) -> nn.Module:
    """A part with a router at each of some sites, in place where it can be.

    Args:
        part: Stem or layer.
        sites: Its sites.
        kept: For each task and unit whether it is kept, bool (T, U).
        norm: One of ``norms.NORMS``; those with statistics of each task get them.
    """
    for site in sites:
        inner = part.get_submodule(site.name)
        if isinstance(inner, _TASK_NORMS.get(norm, ())):
            inner = TaskBatchNorm(inner, len(kept), norm == 'per_task')
        mask = np.ascontiguousarray(kept[:, site.outputs])
        router = TaskRouter(mask.shape[1], len(mask), mask=mask, dim=site.dim)
        part = _replaced(part, site.name, Routed(inner, router))
    return part


def without_routers(part: nn.Module, sites: Iterable[Site], task: int) -> nn.Module:
    """A copy of a part without its routers, with the statistics of a task."""
    part = copy.deepcopy(part)
    for site in sites:
        inner = part.get_submodule(site.name).inner
        inner = inner.of_task(task) if isinstance(inner, TaskBatchNorm) else inner
        part = _replaced(part, site.name, inner)
    return part


def _replaced(part: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """The part with a submodule exchanged; the part itself may be it."""
    if not name:
        return module
    part.set_submodule(name, module)
    return part
