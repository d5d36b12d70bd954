"""The resource term of the search: lambda times the expected cost of the encoder's layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bmtas.branching import expected_cost
from bmtas.resources import ResourceTable, unit_named
from bmtas.typed import Count, NonNegative

EXACT_TASKS = 16
"""Largest number of tasks whose expected cost is computed; that of more is sampled."""


@dataclass(frozen=True)
class ResourceLoss:
    """How the resource term is weighed and computed: the key ``search.resource_loss``.

    Args:
        weight: lambda, per GMAdd (or the scaled unit of the table, see ``bmtas.resources.units``).
        mode: 'exact', 'paper' or 'sampled', see ``bmtas.branching.expected_cost``.
        unit: 'gflops' if lambda is given per GFLOP, as in the public code: 1 GMAdd = 2 GFLOPs;
            'shared' if it is given per cost of the whole shared network.
        per_task: Add the term once for each task of the batch, as the public code does, instead of
            once for each update.
        num_samples: Draws of the sampled mode.
        follow: Let lambda follow the budget during the search, see ``FollowedBudget``; ``weight``
            is where it starts.
    """

    weight: NonNegative = 0.1
    mode: Literal['exact', 'paper', 'sampled'] = 'exact'
    unit: Literal['gflops', 'shared'] | None = None
    per_task: bool = False
    num_samples: Count = 16
    follow: bool = False


@dataclass(frozen=True)
class ResourceTerm:
    """The resource term for the network of a resource table.

    Raises:
        ValueError: lambda is given per GFLOP, but the table counts something else.
    """

    table: ResourceTable
    loss: ResourceLoss = ResourceLoss()

    def __post_init__(self) -> None:
        if self.loss.unit == 'gflops' and self.table.unit != 'MAdds':
            raise ValueError(
                f'search.resource_loss.unit: gflops, but the table counts {self.table.unit}'
            )

    @property
    def scale(self) -> float:
        """What the costs of the table are divided by."""
        return unit_named(self.table.unit).scale

    @property
    def unit_name(self) -> str:
        """Name of the unit of ``cost``."""
        return unit_named(self.table.unit).label

    def factor(self, num_tasks: int) -> float:
        """lambda in effect, per ``unit_name``, in an update with this number of tasks."""
        scale = dict(gflops=2.0, shared=self.scale / self.table.shared).get(self.loss.unit, 1.0)
        return self.loss.weight * scale * (num_tasks if self.loss.per_task else 1)

    def cost(
        self, alpha: Tensor, mode: str | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Expected cost of the layers in ``unit_name``, for alpha (L, T, K); scalar."""
        costs = [cost / self.scale for cost in self.table.layers]
        return expected_cost(
            alpha,
            costs,
            mode or self.loss.mode,
            num_samples=self.loss.num_samples,
            generator=generator,
        )

    def whole(self, alpha: Tensor, generator: torch.Generator | None = None) -> float:
        """Expected cost of the whole network in ``unit_name``, stem and heads included.

        Sampled with more than ``EXACT_TASKS`` tasks.
        """
        mode = 'exact' if alpha.shape[1] <= EXACT_TASKS else 'sampled'
        fixed = self.table.stem + sum(self.table.heads.values())
        return fixed / self.scale + float(self.cost(alpha, mode, generator))
