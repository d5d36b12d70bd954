"""lambda that follows a budget while the search goes on."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from bmtas.search.gradient.resource_loss import ResourceTerm

PROPORTIONAL, INTEGRAL = 5.0, 20.0
"""What an excess of the whole budget does to log(lambda): at once, and over all alpha updates."""
MOST = 20.0
"""Largest change of log(lambda): where lambda cannot reach the budget, it stays finite."""


class FollowedBudget:
    """Raises lambda while the expected network costs more than the budget, lowers it else.

    A controller with a proportional and an integral part, on log(lambda), so that it finds the
    scale of lambda by itself: log(lambda) is that of the config plus ``PROPORTIONAL`` times the
    relative excess of the expected cost, plus ``INTEGRAL`` times its sum over the alpha updates so
    far, divided by their number in the whole search.

    Args:
        term: The resource term with the lambda to start from.
        budget: Cost of the whole network, in the unit of the term's table.
        updates: Alpha updates of the whole search.
        memory: Where the sum is kept, so that a resumed search has it.

    Raises:
        ValueError: lambda is 0 at the start.
    """

    def __init__(
        self, term: ResourceTerm, budget: float, updates: int, memory: dict[str, Tensor]
    ) -> None:
        if not term.loss.weight:
            raise ValueError(
                'search.resource_loss.weight: 0 follows no budget; give a positive one or leave '
                'search.resource_loss.follow out'
            )
        self.start, self.budget, self.updates, self.memory = term, budget, updates, memory

    def step(self, alpha: Tensor, generator: torch.Generator | None = None) -> ResourceTerm:
        """The term of the next alpha update; call it once for each.

        Args:
            alpha: (L, T, K) logits.
            generator: Random numbers where the expected cost is sampled.
        """
        cost = self.start.whole(alpha.detach(), generator) * self.start.scale
        excess = cost / self.budget - 1
        before = float(self.memory.get('log_lambda', 0.0))
        total = min(max(before + INTEGRAL / self.updates * excess, -MOST), MOST)
        self.memory['log_lambda'] = torch.tensor(total, dtype=torch.float64)
        change = min(max(total + PROPORTIONAL * excess, -MOST), MOST)
        loss = self.start.loss
        return replace(self.start, loss=replace(loss, weight=loss.weight * math.exp(change)))
