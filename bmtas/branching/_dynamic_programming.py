"""Dynamic programming over (layer, partition) with Pareto fronts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmtas.branching.pareto import pareto_front
from bmtas.branching.partitions import num_blocks, refinements


def front_of_all_trees(
    costs: np.ndarray, scores: np.ndarray, num_tasks: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The front of all trees of up to nine tasks; states are numbers in ``all_partitions``.

    Args:
        costs: (L,) of one copy of each layer.
        scores: (L, Bell).
        num_tasks: T.

    Returns:
        As ``front_of_trees``.
    """
    blocks = num_blocks(num_tasks)
    order = np.argsort(blocks, kind='stable')
    place = np.argsort(order)
    coarse, fine = refinements(num_tasks)
    covers = blocks[fine] == blocks[coarse] + 1
    covers = place[coarse[covers]], place[fine[covers]]
    cost, score, chains = front_of_trees(costs, scores[:, order], blocks[order], covers)
    return cost, score, order[chains].astype(np.int32)


def front_of_trees(
    costs: np.ndarray,
    scores: np.ndarray,
    blocks: np.ndarray,
    covers: tuple[np.ndarray, np.ndarray],
    limit: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Layer by layer the front of each partition; entries of all partitions lie in flat arrays.

    An entry is a partial tree: state (its last partition), cost, score, parent (entry of the layer
    before).

    Args:
        costs: (L,) of one copy of each layer.
        scores: (L, P) of the partitions that a tree may have.
        blocks: (P,) number of blocks, rising; the first is one block.
        covers: States (coarse, fine) such that fine refines coarse and none is in between.
        limit: Entries of each state that are kept at most, spread over its costs; with it the
            front is an approximation.

    Returns:
        Costs (F,) rising, scores (F,) falling and chains (F, L) of the trees on the front.
    """
    levels = _by_blocks(blocks, *covers)
    state, cost, score = np.zeros(1, np.int64), np.zeros(1, costs.dtype), np.zeros(1)
    history = []
    for layer, price in enumerate(costs):
        state, parent = _spread(state, cost, score, levels)
        if limit is not None:
            kept = _thinned(state, cost[parent], limit)
            state, parent = state[kept], parent[kept]
        cost = cost[parent] + price * blocks[state]
        score = score[parent] + scores[layer, state]
        history.append((state, parent))
    entries = pareto_front(cost, score)
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

    By rising number of blocks: a partition takes over the merged entries of those that it covers,
    which hold those of all coarser ones already.

    Returns:
        state and entry (index into the arguments) of what is left, sorted by state.
    """
    found_state, found_entry = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for coarse, fine in levels:
        # the entries of the coarser states once for each cover that starts from them
        starts = np.searchsorted(found_state, coarse)
        counts = np.searchsorted(found_state, coarse, 'right') - starts
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        inherited = found_entry[np.repeat(starts, counts) + offsets]
        own = np.flatnonzero(np.isin(state, np.unique(fine)))
        merged_state = np.concatenate([state[own], np.repeat(fine, counts)])
        merged_entry = np.concatenate([own, inherited])
        kept = pareto_front(cost[merged_entry], score[merged_entry], merged_state)
        found_state = np.concatenate([found_state, merged_state[kept]])
        found_entry = np.concatenate([found_entry, merged_entry[kept]])
    return found_state, found_entry


def _thinned(state: np.ndarray, cost: np.ndarray, limit: int) -> np.ndarray:
    """Entries to keep such that no state has more than ``limit``.

    The costs of a state are cut into equal ranges, of each the last entry (of lowest score) stays,
    and the cheapest of all.

    Args:
        state, cost: (N,) sorted by both.
        limit: At least 2.
    """
    first = np.flatnonzero(np.diff(state, prepend=-1))
    counts = np.diff(first, append=len(state))
    low = np.repeat(cost[first], counts)
    width = np.repeat(cost[first + counts - 1], counts) - low
    part = (cost - low) * ((limit - 1) / np.maximum(width, 1e-300))
    part = np.minimum(part.astype(np.int64), limit - 2)
    keep = (np.diff(part, append=-1) != 0) | (np.diff(state, append=-1) != 0)
    keep[first] = True
    return np.flatnonzero(keep | np.repeat(counts <= limit, counts))


def _by_blocks(
    blocks: np.ndarray, coarse: np.ndarray, fine: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The covers (coarse, fine) by the number of blocks of fine; the first is the root's own."""
    root = np.zeros(1, np.int64)
    numbers = blocks[fine]
    parts = [(coarse[numbers == num], fine[numbers == num]) for num in np.unique(numbers)]
    return [(root, root), *parts]
