"""The entries that no other beats in cost and score."""

from __future__ import annotations

import numpy as np


def pareto_front(
    cost: np.ndarray, score: np.ndarray, state: np.ndarray | None = None
) -> np.ndarray:
    """Indices of the entries that no other beats, by rising cost; of equal entries the first.

    Args:
        cost: (N,) lower is better.
        score: (N,) lower is better.
        state: (N,) integers; with them each state has a front of its own, one after the other.
    """
    state = np.zeros(len(cost), np.int64) if state is None else state
    order = np.lexsort((score, cost, state))
    rank = np.unique(score, return_inverse=True)[1][order]
    # ranks fall below those of all earlier states, so that one running minimum serves all states
    group = np.cumsum(np.diff(state[order], prepend=state[order[:1]]) != 0)
    rank = rank - group * (rank.max(initial=0) + 1)
    lowest = np.minimum.accumulate(rank)
    better = np.ones(len(order), bool)
    better[1:] = rank[1:] < lowest[:-1]
    return order[better]
