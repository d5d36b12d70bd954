"""Losses on one scale: the sum of kappa_t log L_t in place of the sum of L_t.

kappa_t, a task's elasticity, is the relative change of its metric for a relative change of its
loss; the sum is then what the mean relative gain of the metrics follows, whatever the units of the
losses. The gradient of kappa log L is that of kappa L / L.detach(), which is what is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from bmtas.typed import Positive

LogLosses = bool | Mapping[str, Positive]
"""True, or elasticities by task; tasks that are not named have 1. False: plain losses."""


def elasticities_of(option: LogLosses, tasks: Sequence[str], key: str) -> dict[str, float] | None:
    """Elasticity of each task, None for plain losses.

    Raises:
        ValueError: An elasticity of an unknown task, or not a positive number.
    """
    if option is False or option is None:
        return None
    given = {} if option is True else dict(option)
    for name, value in given.items():
        if name not in tasks:
            raise ValueError(f'{key}: no task {name!r}, there are {list(tasks)}')
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ValueError(f'{key}.{name}: must be greater than 0, got {value!r}')
    return {name: float(given.get(name, 1.0)) for name in tasks}


def global_loss(loss: Tensor, name: str) -> float:
    """Mean of a loss over the processes.

    Raises:
        ValueError: It is negative and has no logarithm.
    """
    mean = loss.detach().float().clone()
    all_reduce(mean, 'mean')
    value = float(mean)
    if value < 0:
        raise ValueError(f'log_losses: the loss of task {name!r} is {value:.4g}, it has no log')
    return value


def on_log_scale(
    losses: Mapping[str, Tensor], elasticities: Mapping[str, float] | None
) -> dict[str, Tensor]:
    """Losses with the gradient of kappa log L; extra losses and those of no label as they are.

    Args:
        losses: ``loss_<task>`` and others.
        elasticities: kappa by task; None changes nothing.
    """
    if elasticities is None:
        return dict(losses)
    scaled = {}
    for key, loss in losses.items():
        name = key.removeprefix('loss_')
        value = global_loss(loss, name) if name in elasticities else 0.0
        scaled[key] = loss * (elasticities[name] / value) if value else loss
    return scaled


class SmoothedLogs:
    """Factors kappa / L with L averaged over the last updates, for losses of small batches.

    Args:
        tasks: Task names.
        elasticities: kappa by task.
        memory: Where the averages are kept, so that a resumed run has them.
        updates: Updates that the average forgets about two thirds of.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        elasticities: Mapping[str, float],
        memory: dict[str, Tensor],
        updates: int = 10,
    ) -> None:
        self.tasks, self.elasticities, self.memory = list(tasks), elasticities, memory
        self.rate = 1 / updates

    def factor(self, name: str, loss: Tensor) -> float:
        """The factor of a task's loss in this update."""
        zeros = torch.zeros(len(self.tasks), dtype=torch.float64)
        means = self.memory.setdefault('mean_losses', zeros)
        counts = self.memory.setdefault('loss_updates', zeros.clone())
        place, value = self.tasks.index(name), global_loss(loss, name)
        counts[place] += 1
        rate = max(self.rate, 1 / float(counts[place]))
        means[place] += rate * (value - means[place])
        mean = float(means[place])
        return self.elasticities[name] / mean if mean else 0.0
