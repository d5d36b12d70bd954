"""The published recursion over partitions, vectorised."""

from __future__ import annotations

from functools import lru_cache
from math import factorial

import numpy as np
import torch
from torch import Tensor

from bmtas.branching._exact import running_product, subset_products
from bmtas.branching.partitions import MAX_ITEMS, all_partitions, num_blocks, refinements


def recursion_groups(probs: Tensor) -> Tensor:
    """Number of groups per layer as booked by the recursion of BMTAS (Eq. 5-6).

    With q_l(k) the probability that layer l alone draws exactly the partition k,
    P_l(k) = q_l(k) * sum_{k' coarser or equal k} P_{l-1}(k') for all k but the one of singletons,
    which takes the rest. q_l follows from the probabilities Q_l(k) that the drawn partition is
    coarser than or equal to k by Moebius inversion on the lattice of partitions.

    Args:
        probs: (L, T, K) float64.

    Returns:
        (L,) float64 in [1, T].
    """
    num_tasks = probs.shape[1]
    if num_tasks > MAX_ITEMS:
        raise ValueError(
            f"mode 'paper' takes up to {MAX_ITEMS} tasks, got {num_tasks}; "
            "use mode 'exact' or 'sampled'"
        )
    masks, coarse, fine, moebius, blocks = _lattice(num_tasks, str(probs.device))
    agree = subset_products(probs).sum(-1)
    agree = torch.cat([torch.ones_like(agree[:, :1]), agree[:, 1:]], 1)  # unused block: factor 1
    coarser = running_product(agree[:, masks].permute(2, 0, 1))[-1]  # Q (L, Bell)
    drawn = torch.zeros_like(coarser)
    drawn = drawn.index_add(1, fine, coarser[:, coarse] * moebius)[:, :-1]  # q, no singletons
    groups = []
    # before layer 0 all tasks are together
    running = torch.zeros_like(coarser[0])
    running[0] = 1
    for layer in range(len(probs)):
        reachable = torch.zeros_like(running).index_add(0, fine, running[coarse])
        kept = drawn[layer] * reachable[:-1]
        running = torch.cat([kept, 1 - kept.sum(0, keepdim=True)])
        groups.append(running @ blocks)
    return torch.stack(groups)


@lru_cache(maxsize=16)
def _lattice(num_tasks: int, device: str) -> tuple[Tensor, ...]:
    """Constants of the lattice of partitions.

    Returns:
        masks (Bell, T): bit set of each block, 0 where there are fewer blocks; coarse and fine (E,)
        as in ``refinements``; moebius (E,): mu(coarse, fine); blocks (Bell,): number of blocks.
    """
    partitions = all_partitions(num_tasks).astype(np.int64)
    masks = np.zeros_like(partitions)
    for task in range(num_tasks):
        masks[np.arange(len(masks)), partitions[:, task]] += 1 << task
    coarse, fine = refinements(num_tasks)
    moebius = np.ones(len(coarse))
    for block in range(num_tasks):
        moebius *= _moebius_factors(masks[coarse, block], masks[fine], num_tasks)
    arrays = (masks, coarse, fine, moebius, num_blocks(num_tasks).astype(np.float64))
    return tuple(torch.from_numpy(array.copy()).to(device) for array in arrays)


def _moebius_factors(block: np.ndarray, fine: np.ndarray, num_tasks: int) -> np.ndarray:
    """(-1)^(n-1) (n-1)! where n blocks of ``fine`` (E, T) lie in ``block`` (E,); 1 for none."""
    inside = ((fine & block[:, None]) != 0).sum(1)
    table = [1] + [(-1) ** (n - 1) * factorial(n - 1) for n in range(1, num_tasks + 1)]
    return np.array(table, dtype=np.float64)[inside]
