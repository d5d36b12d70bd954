"""Expected costs by inclusion-exclusion over sets of tasks."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_TASKS = 20


def exact_costs(probs: Tensor, costs: Tensor) -> Tensor:
    """Expected cost of each layer in O(L * 2^T * K), without a loop over layers or sets.

    A set of tasks is a set of the first half of the tasks and one of the second half, so that the
    sums over candidates for all 2^T sets are one batched product of two small matrices.

    Args:
        probs: (L, T, K) float64.
        costs: (L,) or (L, K) float64.

    Returns:
        (L,) float64, within [c_l, T * c_l] also where rounding would leave these bounds.
    """
    num_tasks = probs.shape[1]
    if num_tasks > MAX_TASKS:
        raise ValueError(
            f"mode 'exact' takes up to {MAX_TASKS} tasks, got {num_tasks}; use mode 'sampled'"
        )
    half = num_tasks // 2
    first, second = subset_products(probs[:, :half]), subset_products(probs[:, half:])
    # S[l, A]: probability that all tasks of A draw the same candidate; the empty set is dropped
    agree = torch.bmm(first, second.mT).flatten(1)[:, 1:]
    signs = _signs(half, num_tasks, probs)
    if costs.ndim == 1:
        groups = running_product(agree) @ signs
        return _clamp(groups, 1, num_tasks) * costs
    before = running_product(agree[:-1])
    before = torch.cat([torch.ones_like(agree[:1]), before])
    weighted = torch.bmm(first * costs[:, None], second.mT).flatten(1)[:, 1:]
    layer_costs = (before * weighted) @ signs
    return _clamp(layer_costs, costs.amin(1), costs.amax(1) * num_tasks)


def subset_products(probs: Tensor) -> Tensor:
    """Products over all sets of tasks by doubling: (L, T, K) -> (L, 2^T, K).

    Bit t of the index says whether task t is in the set; index 0, the empty set, holds ones.
    """
    num_layers, num_tasks, num_candidates = probs.shape
    products = probs.new_ones(num_layers, 1, num_candidates)
    factors = torch.stack([torch.ones_like(probs), probs], 2)
    for task in range(num_tasks):
        products = (factors[:, task, :, None] * products[:, None]).flatten(1, 2)
    return products


def running_product(values: Tensor) -> Tensor:
    """Cumulative product over dim 0 in log2(L) steps.

    Unlike that of ``cumprod`` its gradient never divides, so that it is exact at zeros (one-hot
    choices) and where products underflow.
    """
    step = 1
    while step < len(values):
        values = torch.cat([values[:step], values[step:] * values[:-step]])
        step *= 2
    return values


def _signs(half: int, num_tasks: int, like: Tensor) -> Tensor:
    """(-1)^(|A|+1) in the order of the rows of ``exact_costs``, without the empty set."""

    def parity(num: int) -> Tensor:
        signs = like.new_ones(1)
        for _ in range(num):
            signs = torch.cat([signs, -signs])
        return signs

    return -torch.outer(parity(half), parity(num_tasks - half)).flatten()[1:]


def _clamp(values: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Clamp the value, not the gradient: only rounding can leave the bounds."""
    return values + (values.detach().clamp(low, high) - values.detach())
