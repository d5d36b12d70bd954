"""What a task's loss depends on: who shares its locations with it."""

from __future__ import annotations

import numpy as np

FORMS = ('pairs', 'crowd', 'mean')
"""``pairs``: one number for each task that shares a location. ``crowd``: and one for the number of
tasks beyond the first other one. ``mean``: the numbers of the others, divided by how many they are
(as groups are scored by Standley et al., ICML 2020)."""


def sharing_features(routes: np.ndarray, task: int, form: str) -> np.ndarray:
    """Features of one task in partitions of the tasks.

    Args:
        routes: (..., T), equal where two tasks share.
        task: Number of the task.
        form: One of ``FORMS``.

    Returns:
        (..., T - 1), the other tasks in order; for ``crowd`` one more.
    """
    together = np.delete(routes == routes[..., task : task + 1], task, -1).astype(float)
    others = together.sum(-1, keepdims=True)
    if form == 'mean':
        return together / np.maximum(others, 1)
    if form == 'crowd':
        return np.concatenate([together, np.maximum(others - 1, 0)], -1)
    return together
