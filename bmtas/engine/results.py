"""What a test found: results.json and the same as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import singledispatch
from typing import Any

from torch import nn

from bmtas.evaluation import Line, digest
from bmtas.resources import UNITS

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


def lines_of(results: Mapping[str, Any]) -> list[Line]:
    """What is shown of the scores of a results.json."""
    return digest(results['scores'], results['score_names'], results['higher_is_better'])


def results_table(results: Mapping[str, Any]) -> str:
    """The results as a few lines of text."""
    rows = []
    for line in lines_of(results):
        arrow = 'higher' if line.higher else 'lower'
        score = line.value(results['scores'])
        shown = 'no labels' if score is None else f'{score:.4g}'
        constant = line.value(results.get('constant') or {})
        beside = '' if constant is None else f'; the best constant gets {constant:.4g}'
        rows.append(f'  {line.label:<14} {line.score:<10}{shown:>10}   ({arrow} is better{beside})')
    for task, entry in (results.get('classes') or {}).items():
        if len(entry['names']) < 3:
            continue  # of two classes the score says it
        pairs = zip(entry['names'], entry['scores'])
        shown = ', '.join(f'{name} {value:.4g}' for name, value in pairs if value is not None)
        rows.append(f'  {entry["score"]} of the classes of {task}: {shown}')
    cost = UNITS['params'].exact(results['params'], 4)
    if 'madds' in results:
        height, width = results['input_size']
        madds = UNITS['madds'].exact(results['madds'], 4)
        cost = f'{madds} ({results["convention"]}, {height}x{width}), {cost}'
    rows.append(f'  {cost}')
    if results['delta_m'] is not None:
        rows.append(f'  Delta_m {results["delta_m"]:+.2f} % against {results["baseline"]}')
    return '\n'.join(rows)
