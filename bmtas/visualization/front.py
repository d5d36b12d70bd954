"""Picture of the best trees for every budget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .canvas import new_figure, plain_axes, save_figure
from .palettes import FAINT, INK, RED


def draw_front(
    costs: Sequence[float],
    scores: Sequence[float],
    path: str | Path,
    score: str,
    unit: str = '',
    chosen: float | None = None,
    deviations: Sequence[float] | None = None,
    shared: float | None = None,
    separate: float | None = None,
) -> Path:
    """Draw score against cost, a band of one deviation around it, and the chosen tree.

    Args:
        costs: (P,) rising, in ``unit``.
        scores: (P,).
        path: PNG to write.
        score: What the scores are.
        unit: Unit of the costs.
        chosen: Cost of the chosen tree.
        deviations: (P,) of the scores.
        shared, separate: Costs of the network with everything shared, or separate after the stem.
    """
    costs, scores = np.asarray(costs, float), np.asarray(scores, float)
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    plain_axes(axes, grid=True)
    if deviations is not None:
        spread = np.asarray(deviations, float)
        axes.fill_between(costs, scores - spread, scores + spread, step='post', color='#dbe6f1')
    axes.step(costs, scores, where='post', color='#4477aa', linewidth=1.2)
    axes.plot(costs, scores, 'o', color='#4477aa', markersize=2.5)
    for value, name in ((shared, 'shared'), (separate, 'separate')):
        if value is not None:
            axes.axvline(value, color=FAINT, linewidth=1, linestyle=':')
            place = axes.get_xaxis_transform()
            axes.text(value, 1.0, f' {name}', fontsize=7, va='top', transform=place)
    if chosen is not None:
        at = max(int(np.searchsorted(costs, chosen, 'right')) - 1, 0)
        axes.plot([chosen], [scores[at]], 'D', color=RED, markersize=6)
        # a legend could pass for a tree of the front
        beside = dict(textcoords='offset points', fontsize=8, color=RED)
        axes.annotate('chosen', (chosen, scores[at]), xytext=(7, 7), **beside)
    axes.set_xlabel(f'cost of the whole network ({unit})', fontsize=8, color=INK)
    axes.set_ylabel(score, fontsize=8, color=INK)
    return save_figure(figure, path)
