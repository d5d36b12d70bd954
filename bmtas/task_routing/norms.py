"""Normalisation in a routed network: whose statistics, whose scale and shift."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bmtas.files import nearest
from bmtas.models.backbones import PooledBatchNorm2d
from bmtas.task_routing.router import Routable

NORMS: Mapping[str, str] = dict(
    shared='one batch norm for all tasks',
    per_task_stats='running statistics for each distinct prefix of masks, common scale and shift',
    per_task='running statistics, scale and shift for each distinct prefix of masks',
    batch_stats='of the batch, also in evaluation; running ones by prefix behind a global pool',
    group='group norm, over groups of group_size channels',
)


def check_norm(norm: str | Mapping[str, Any]) -> dict[str, Any]:
    """The config of a norm with all its keys: name and, for ``group``, group_size (8)."""
    options = dict(norm) if isinstance(norm, Mapping) else dict(name=norm)
    kind = options.get('name')
    if kind not in NORMS:
        raise ValueError(f'norm: unknown {kind!r}, {nearest(kind, NORMS)}')
    unknown = set(options) - ({'name', 'group_size'} if kind == 'group' else {'name'})
    if unknown:
        raise ValueError(f'norm: {kind!r} has no option {min(unknown)!r}')
    return dict(dict(group_size=8) if kind == 'group' else {}, **options)


class TaskBatchNorm(Routable):
    """Batch norm with running statistics for each task, and with scale and shift where asked.

    Tasks whose masks have been the same so far see the same input: the encoder activates the first
    of them, so that they share a row.

    Args:
        norm: The batch norm to replace; its class is kept, so that it can be synchronised.
        task_count: T.
        affine: Whether each task has its own scale and shift.
    """

    def __init__(self, norm: _BatchNorm, task_count: int, affine: bool) -> None:
        super().__init__()
        self.norm = norm
        for name in ('running_mean', 'running_var'):
            self.register_buffer(name, getattr(norm, name).repeat(task_count, 1))
            setattr(norm, name, None)
        norm.num_batches_tracked = None
        norm.track_running_stats = False
        self.weight = self.bias = None
        if affine and norm.affine:
            self.weight = nn.Parameter(norm.weight.detach().repeat(task_count, 1))
            self.bias = nn.Parameter(norm.bias.detach().repeat(task_count, 1))
            norm.weight = norm.bias = None
            norm.affine = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) for the active task.

        Raises:
            ValueError: No task, or one task id for each sample: a batch of one or two images of a
                task has no statistics.
        """
        task = self._tasks(self.task, len(x), len(self.running_mean))
        if isinstance(task, Tensor):
            raise ValueError(
                'norm: statistics of each task need batches of one task; take '
                "norm='shared' or draw='batch'"
            )
        x = self._normalise(x, task)
        if self.weight is None:
            return x
        shape = [1, -1] + [1] * (x.dim() - 2)
        return torch.addcmul(self.bias[task].view(shape), x, self.weight[task].view(shape))

    def _normalise(self, x: Tensor, task: int) -> Tensor:
        # the batch norm works on the task's row; outside of this call it has no statistics, which
        # keeps them out of checkpoints
        norm = self.norm
        norm.running_mean, norm.running_var = self.running_mean[task], self.running_var[task]
        norm.num_batches_tracked = torch.zeros((), dtype=torch.long, device=x.device)
        norm.track_running_stats = True
        try:
            return norm(x)
        finally:
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None

    def of_task(self, task: int) -> nn.Module:
        """A plain batch norm with what the task uses."""
        old = self.norm
        like = dict(device=self.running_mean.device, dtype=self.running_mean.dtype)
        new = type(old)(old.num_features, old.eps, old.momentum, **like)
        new.running_mean.copy_(self.running_mean[task])
        new.running_var.copy_(self.running_var[task])
        weight = old.weight if self.weight is None else self.weight[task]
        bias = old.bias if self.bias is None else self.bias[task]
        with torch.no_grad():
            for parameter, value in ((new.weight, weight), (new.bias, bias)):
                if value is not None:
                    parameter.copy_(value)
        return new.train(old.training)

    def share(self, source: np.ndarray) -> None:
        """Give every task the row of another: ``source`` (T,)."""
        index = torch.from_numpy(source).to(self.running_mean.device)
        for tensor in (self.running_mean, self.running_var, self.weight, self.bias):
            if tensor is not None:
                tensor.data.copy_(tensor.data[index])


def convert_norms(module: nn.Module, norm: Mapping[str, Any]) -> None:
    """Replace batch norms inside a module by what does not depend on tasks, in place."""
    if norm['name'] == 'group':
        for name, old in list(module.named_modules()):
            if isinstance(old, _BatchNorm):
                groups = old.num_features // gcd(old.num_features, norm['group_size'])
                new = nn.GroupNorm(groups, old.num_features, old.eps)
                new = new.to(next(module.parameters()).device)
                module.set_submodule(name, new)
    elif norm['name'] == 'batch_stats':
        for old in module.modules():
            # behind a global pool one image has no statistics of its own
            if isinstance(old, _BatchNorm) and not isinstance(old, PooledBatchNorm2d):
                old.running_mean = old.running_var = old.num_batches_tracked = None
                old.track_running_stats = False
