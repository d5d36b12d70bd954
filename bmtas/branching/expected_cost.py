"""Expected number of groups and expected cost of a tree drawn from independent choices.

Each task draws one candidate in each layer, with the probabilities p[l, t, k] = softmax(logits).
Let E[n_l] be the expected number of groups in layer l of the tree that the draws describe. Then

- ``exact``: inclusion-exclusion over the non-empty sets A of tasks,
  E[n_l] = sum_A (-1)^(|A|+1) * prod_{j<=l} sum_k prod_{t in A} p[j, t, k];
- ``paper``: the recursion over partitions of BMTAS (BMVC 2020, Eq. 5-6), an upper bound of it that
  is equal for two tasks: a layer whose drawn partition does not refine the running one is booked
  as all tasks apart;
- ``sampled``: an unbiased estimate of the exact value and of its gradient, for many tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bmtas.branching._exact import exact_costs
from bmtas.branching._recursion import recursion_groups
from bmtas.branching._sampled import sampled_costs

MODES = ('exact', 'paper', 'sampled')


def expected_groups(
    logits: Tensor,
    mode: str = 'exact',
    num_samples: int = 16,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Expected number of groups in each layer.

    Args:
        logits: (L, T, K) architecture logits, T tasks and K candidates in each of L layers. -inf
            excludes a candidate.
        mode: 'exact' (up to 20 tasks), 'paper' (up to 9 tasks) or 'sampled' (any number).
        num_samples: Draws of the sampled mode; at least 2 for a gradient of low variance.
        generator: Random numbers of the sampled mode, on the device of the logits.

    Returns:
        (L,) in the precision of the logits (at least float32), differentiable, between 1 and T.
    """
    ones = torch.ones(len(logits), dtype=torch.float64, device=logits.device)
    return _costs(logits, ones, mode, num_samples, generator).to(_precision(logits))


def expected_cost(
    logits: Tensor,
    costs: Tensor | Sequence[float],
    mode: str = 'exact',
    num_samples: int = 16,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Expected cost of the searched layers, in the unit of ``costs``.

    Args:
        logits: (L, T, K) as in ``expected_groups``.
        costs: (L,) cost of one copy of each layer, or (L, K) where the candidates of a layer differ
            in cost ('exact' and 'sampled' only). Stem and heads are constant and not part of it.
        mode, num_samples, generator: As in ``expected_groups``.

    Returns:
        Scalar in the precision of the logits (at least float32), differentiable.

    Raises:
        ValueError: Unknown mode, sizes that do not fit, or more tasks than the mode can take.
    """
    costs = torch.as_tensor(costs, dtype=torch.float64, device=logits.device)
    return _costs(logits, costs, mode, num_samples, generator).sum().to(_precision(logits))


def _costs(
    logits: Tensor,
    costs: Tensor,
    mode: str,
    num_samples: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Expected cost of each layer, (L,) float64."""
    if logits.ndim != 3 or 0 in logits.shape:
        raise ValueError(f'logits must be (layers, tasks, candidates), got {tuple(logits.shape)}')
    if costs.shape not in (logits.shape[:1], (logits.shape[0], logits.shape[2])):
        raise ValueError(
            f'costs must be (L,) or (L, K) for logits {tuple(logits.shape)}, '
            f'got {tuple(costs.shape)}'
        )
    # double precision throughout: the alternating sums cancel, and the work is small
    probs = logits.double().softmax(-1)
    if mode == 'exact':
        return exact_costs(probs, costs)
    if mode == 'paper':
        if costs.ndim == 2:
            raise ValueError("mode 'paper' knows one cost per layer, not one per candidate")
        return recursion_groups(probs) * costs
    if mode == 'sampled':
        if num_samples < 1:
            raise ValueError(f'num_samples must be positive, got {num_samples}')
        return sampled_costs(probs, costs, num_samples, generator)
    raise ValueError(f'unknown mode {mode!r}, choose from {MODES}')


def _precision(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
