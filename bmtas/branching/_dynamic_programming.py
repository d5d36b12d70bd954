"""Dynamic programming over (layer, partition) with Pareto fronts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmtas.branching.partitions import num_blocks, refinements


def front_of_all_trees(
    costs: np.ndarray, scores: np.ndarray, num_tasks: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layer by layer the front of each partition; entries of all partitions lie in flat arrays.

    An entry is a partial tree: state (its last partition), cost, score, parent (entry of the layer
    before).

    Args:
        costs: (L,) of one copy of each layer.
        scores: (L, Bell).
        num_tasks: T.

    Returns:
        Costs (P,) rising, scores (P,) falling and chains (P, L) of the trees on the front.
    """
    blocks = num_blocks(num_tasks)
    levels = _covers(num_tasks)
    state, cost, score = np.zeros(1, np.int64), np.zeros(1, costs.dtype), np.zeros(1)
    history = []
    for layer, price in enumerate(costs):
        state, parent = _spread(state, cost, score, levels)
        cost = cost[parent] + price * blocks[state]
        score = score[parent] + scores[layer, state]
        history.append((state, parent))
    entries = pareto(np.zeros_like(state), cost, score)
    cost, score = cost[entries], score[entries]
    chains = np.zeros((len(entries), len(costs)), np.int32)
    for layer in range(len(costs) - 1, -1, -1):
        state, parent = history[layer]
        chains[:, layer] = state[entries]
        entries = parent[entries]
    return cost, score, chains


def _spread(
    state: np.ndarray,
    cost: np.ndarray,
    score: np.ndarray,
    levels: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Merge into each partition the entries of all coarser ones and prune.

    By rising number of blocks: a partition takes over the merged entries of those with one block
    less that it refines, which hold those of all coarser ones already.

    Returns:
        state and entry (index into the arguments) of what is left.
    """
    states, entries = [], []
    above_state, above_entry = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for coarse, fine in levels:
        # the entries of the coarser level once for each cover that starts from their partition
        starts = np.searchsorted(above_state, coarse)
        counts = np.searchsorted(above_state, coarse, 'right') - starts
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        inherited = above_entry[np.repeat(starts, counts) + offsets]
        own = np.flatnonzero(np.isin(state, np.unique(fine)))
        merged_state = np.concatenate([state[own], np.repeat(fine, counts)])
        merged_entry = np.concatenate([own, inherited])
        kept = pareto(merged_state, cost[merged_entry], score[merged_entry])
        above_state, above_entry = merged_state[kept], merged_entry[kept]
        states.append(above_state)
        entries.append(above_entry)
    return np.concatenate(states), np.concatenate(entries)


def pareto(state: np.ndarray, cost: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Entries of each state's front, sorted by (state, cost); of equal entries the first."""
    order = np.lexsort((score, cost, state))
    rank = np.unique(score, return_inverse=True)[1][order]
    # ranks fall below those of all earlier states, so that one running minimum serves all states
    group = np.cumsum(np.diff(state[order], prepend=state[order[:1]]) != 0)
    rank = rank - group * (rank.max(initial=0) + 1)
    lowest = np.minimum.accumulate(rank)
    better = np.ones(len(order), bool)
    better[1:] = rank[1:] < lowest[:-1]
    return order[better]


def _covers(num_tasks: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For 1, 2, ..., T blocks the pairs (coarse, fine) where fine splits one block of coarse."""
    blocks = num_blocks(num_tasks)
    coarse, fine = refinements(num_tasks)
    one_more = blocks[fine] == blocks[coarse] + 1
    levels = [(np.zeros(1, np.int64), np.zeros(1, np.int64))]
    for num in range(2, num_tasks + 1):
        chosen = one_more & (blocks[fine] == num)
        levels.append((coarse[chosen], fine[chosen]))
    return levels
