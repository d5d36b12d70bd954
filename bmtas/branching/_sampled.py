"""Unbiased estimate of the expected costs, for many tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from bmtas.branching._exact import running_product


def sampled_costs(
    probs: Tensor, costs: Tensor, num_samples: int, generator: torch.Generator | None
) -> Tensor:
    """Estimate the expected cost of each layer in O(samples * T^2 * L).

    A group is counted by its first task. Task t is the first of its group in layer l if no task
    s < t drew the same candidates in layers 0..l; given the draws of t these events are
    independent over s:

        E[n_l] = sum_t E_{draws of t}[ prod_{s<t} (1 - prod_{j<=l} p[j, s, draw_j]) ].

    The gradient has a pathwise part, through the probabilities inside the brackets, and a
    score-function part for the draws, each weighed by the costs of its own and the later layers
    less the mean over the other samples. Both parts are unbiased.

    Args:
        probs: (L, T, K) float64.
        costs: (L,) or (L, K) float64.
        num_samples: Draws per task.
        generator: Source of randomness; the draws are made on its device.

    Returns:
        (L,) float64. Only the gradient of a sum over layers is meant to be taken.
    """
    num_layers, num_tasks, num_candidates = probs.shape
    rows = probs.detach().reshape(-1, num_candidates)
    rows = rows.to(rows.device if generator is None else generator.device)
    draws = torch.multinomial(rows, num_samples, True, generator=generator)
    draws = draws.T.reshape(num_samples, num_layers, num_tasks).to(probs.device)
    # same[j, n, t, s]: probability that task s draws in layer j what task t drew in sample n
    layer = torch.arange(num_layers, device=probs.device)[:, None, None]
    same = probs.transpose(1, 2)[layer, draws.transpose(0, 1)]
    own = same.diagonal(dim1=-2, dim2=-1)
    earlier = torch.ones(num_tasks, num_tasks, device=probs.device).tril(-1).bool()
    together = running_product(same).masked_fill(~earlier, 0.0)
    first = running_product((1 - together).permute(3, 0, 1, 2))[-1]
    price = costs[:, None, None]
    if costs.ndim == 2:
        price = costs[layer, draws.transpose(0, 1)]
    value = price * first  # (L, samples, T)
    return value.mean(1).sum(-1) + _score(own, value.detach())


def _score(own: Tensor, value: Tensor) -> Tensor:
    """Score-function part, zero in value, (L,).

    Args:
        own: (L, samples, T) probability of the own draw.
        value: (L, samples, T) cost booked, without gradient.
    """
    reward = value.flip(0).cumsum(0).flip(0)
    num_samples = reward.shape[1]
    if num_samples > 1:
        others = (reward.sum(1, keepdim=True) - reward) / (num_samples - 1)
        reward = reward - others
    score = (own.log() * reward).mean(1).sum(-1)
    return score - score.detach()
