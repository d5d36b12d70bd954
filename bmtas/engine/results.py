"""What a test found: results.json and the same as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from torch import nn

RESULTS = 'results.json'


def plain_number(value: Any) -> float | None:
    """JSON has no NaN: a score without a single labelled pixel becomes null."""
    value = float(value)
    return value if math.isfinite(value) else None


@singledispatch
def results_of(
    model: nn.Module, metrics: Mapping[str, Any], cfg: Mapping[str, Any]
) -> dict[str, Any]:
    """What a test found, in the layout of results.json; models of plug-ins register their own.

    Args:
        model: The model that was tested.
        metrics: What the evaluator gave, ``<task>/<metric>`` to value.
        cfg: Its config.
    """
    raise ValueError(f'model.type: {type(model).__name__} has no results that could be written')


def results_table(results: Mapping[str, Any]) -> str:
    """The results as a few lines of text."""
    rows = []
    for task in results['tasks']:
        arrow = 'higher' if results['higher_is_better'][task] else 'lower'
        score = results['scores'][task]
        shown = 'no labels' if score is None else f'{score:.4g}'
        name = results['score_names'][task]
        constant = (results.get('constant') or {}).get(task)
        beside = '' if constant is None else f'; the best constant gets {constant:.4g}'
        rows.append(f'  {task:<14}{name:<10}{shown:>10}   ({arrow} is better{beside})')
    cost = f'{results["params"] / 1e6:.4g} M parameters'
    if 'madds' in results:
        height, width = results['input_size']
        madds = f'{results["madds"] / 1e9:.4g} GMAdds ({results["convention"]}, {height}x{width})'
        cost = f'{madds}, {cost}'
    rows.append(f'  {cost}')
    if results['delta_m'] is not None:
        rows.append(f'  Delta_m {results["delta_m"]:+.2f} % against {results["baseline"]}')
    return '\n'.join(rows)
