"""Which tasks' steps help which others, by location, measured along one Shared training.

To first order a step of task u at the weights of one location changes the log loss of task t by
Z(u -> t) = <P g_u, g_t>, with g the gradients of the log losses and P what the optimizer multiplies
them by (Adam's 1 / (sqrt(v) + eps); 1 for SGD). The affinity A(u -> t) = Z(u -> t) / Z(t -> t) is a
mean over time of both (Fifty et al., NeurIPS 2021, restricted to locations). Only convolution and
matrix weights count: the gradients of norms have few dimensions and scatter.

An affinity does not know what sharing is worth. It is a prior of the regression, no strategy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from bmtas.engine import unwrap
from bmtas.models import kept_buffers

MIN_BATCH = 4


class TaskAffinityHook(Hook):
    """Measures gradients before some updates; the training itself does not change.

    Args:
        ends: Index of the last layer of each of D locations.
        interval: Updates from one measurement to the next.
        begin: Part of the training before the first one.

    Attributes:
        sums: (2, D, T, T) of Z at [kind, d, t, u]; kinds: gradients of two halves of the batch
            (unbiased for the mean gradients), and of the same half.
    """

    def __init__(self, ends: Sequence[int], interval: int = 5, begin: float = 0.1) -> None:
        self.ends, self.interval, self.begin = list(ends), interval, begin
        self.sums: Tensor | None = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Measure on the batch of this update."""
        first = round(self.begin * runner.max_iters)
        if runner.iter < first or (runner.iter - first) % self.interval:
            return
        with torch.random.fork_rng():  # dropout must not notice
            found = self.measure(unwrap(runner.model), data_batch, runner.optim_wrapper.optimizer)
        self.sums = found if self.sums is None else self.sums + found

    def measure(
        self, model: nn.Module, batch: Mapping[str, Any], optimizer: torch.optim.Optimizer
    ) -> Tensor:
        """(2, D, T, T) on one batch.

        Raises:
            ValueError: Fewer than four images.
        """
        half = len(batch['inputs']) // 2
        if 2 * half < MIN_BATCH:
            raise ValueError(
                f'search.prior: gradients of halves need batches of at least {MIN_BATCH} images'
            )
        parameters = self._parameters(model)
        halves = []
        with kept_buffers(model):
            for part in (slice(0, half), slice(half, 2 * half)):
                content = {key: value[part] for key, value in batch.items()}
                halves.append(_gradients(model, content, parameters))
        steps = [_preconditioned(half, parameters, optimizer) for half in halves]
        (a, b), (pa, pb) = halves, steps
        cross = [(_products(y, x) + _products(v, u)) / 2 for x, u, y, v in zip(pa, pb, b, a)]
        same = [_products(y, x) for x, y in zip(pa, a)]
        return torch.stack([torch.stack(cross), torch.stack(same)]).cpu()

    def _parameters(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """Matrix and convolution weights of the layers of each location."""
        found: list[list[nn.Parameter]] = [[] for _ in self.ends]
        for part in model.encoder.parts():
            if part.layer is not None and part.layer >= 0:
                place = next(i for i, end in enumerate(self.ends) if part.layer <= end)
                found[place] += [p for p in part.module.parameters() if p.dim() > 1]
        return found

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Keep the sums."""
        if self.sums is not None:
            checkpoint['task_affinity'] = self.sums

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Take them back."""
        self.sums = checkpoint.get('task_affinity')

    def affinity(self, kind: int = 0) -> Tensor:
        """(D, T, T) A(u -> t) at [d, t, u]; 1 on the diagonal.

        Raises:
            ValueError: Nothing was measured.
        """
        if self.sums is None:
            raise ValueError('search.prior: the training is too short for a measurement')
        own = self.sums[kind].diagonal(dim1=1, dim2=2).abs().clamp_min(1e-30)
        return self.sums[kind] / own[:, :, None]


def _gradients(
    model: nn.Module, batch: Mapping[str, Any], parameters: Sequence[Sequence[nn.Parameter]]
) -> list[Tensor]:
    """For each location the gradients of the T log losses, (T, n)."""
    flat = [parameter for location in parameters for parameter in location]
    as_ever = model.captured.off() if model.captured else nullcontext()
    with torch.enable_grad(), as_ever:
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        rows = []
        for task in model.tasks:
            loss = losses[f'loss_{task.name}']
            scaled = loss / loss.detach().clamp_min(1e-30)
            found = torch.autograd.grad(scaled, flat, retain_graph=True, allow_unused=True)
            rows.append([torch.zeros_like(p) if g is None else g for g, p in zip(found, flat)])
    stacked, start = [], 0
    for location in parameters:
        part = slice(start, start + len(location))
        stacked.append(torch.stack([torch.cat([g.flatten() for g in row[part]]) for row in rows]))
        start += len(location)
    return stacked


def _preconditioned(
    gradients: Sequence[Tensor],
    parameters: Sequence[Sequence[nn.Parameter]],
    optimizer: torch.optim.Optimizer,
) -> list[Tensor]:
    """The gradients (T, n) of each location as the optimizer would step along them."""
    eps = {id(p): g.get('eps', 1e-8) for g in optimizer.param_groups for p in g['params']}
    decay = {id(p): g.get('betas', (0, 0))[1] for g in optimizer.param_groups for p in g['params']}
    stepped = []
    for rows, location in zip(gradients, parameters):
        factors = []
        for p in location:
            state = optimizer.state.get(p, {})
            factor = torch.ones_like(p)
            if 'exp_avg_sq' in state:
                unbiased = state['exp_avg_sq'] / (1 - decay[id(p)] ** float(state['step']))
                factor = 1 / (unbiased.sqrt() + eps[id(p)])
            factors.append(factor.flatten())
        stepped.append(rows * torch.cat(factors))
    return stepped


def _products(gradients: Tensor, steps: Tensor) -> Tensor:
    """Z(u -> t) at [t, u] from gradients and steps, both (T, n)."""
    return (gradients.double() @ steps.double().T).detach()
