"""How much a task's metric follows its loss, over finished runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MIN_RUNS = 3


def elasticities(runs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float, int]]:
    """Elasticity of each task's score by regression of log|score| on log(loss).

    Args:
        runs: Contents of results.json; those without ``losses`` do not count.

    Returns:
        By task: elasticity, positive where a lower loss goes with a better score; R^2; number of
        runs. Tasks with fewer than three runs, or whose losses are all equal, are left out.
    """
    found = {}
    for task in runs[0]['tasks'] if runs else ():
        pairs = [
            (run['losses'][task], abs(run['scores'][task]))
            for run in runs
            if (run.get('losses') or {}).get(task) and run['scores'].get(task)
        ]
        if len(pairs) < MIN_RUNS or len({loss for loss, _ in pairs}) < 2:
            continue
        x, y = np.log(np.array(pairs)).T
        slope, _ = np.polyfit(x, y, 1)
        fit = np.corrcoef(x, y)[0, 1] ** 2 if np.ptp(y) else 0.0
        sign = -1 if runs[0]['higher_is_better'][task] else 1
        found[task] = (float(sign * slope), float(fit), len(pairs))
    return found


def elasticity_lines(found: Mapping[str, tuple[float, float, int]]) -> str:
    """The elasticities as text, '' if there are none."""
    lines = [
        f'  {task}: {value:.2f} (R2 {fit:.2f}, {count} runs)'
        + ('; its score does not follow its loss' if not fit > 0.5 or math.isnan(fit) else '')
        for task, (value, fit, count) in found.items()
    ]
    return '\n'.join(['relative change of the score for one of the loss:', *lines]) if lines else ''
