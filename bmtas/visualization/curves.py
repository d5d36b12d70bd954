"""Curves of a search: cost, losses and temperature over updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from .canvas import new_figure, plain_axes, save_figure
from .palettes import FAINT, INK, task_colours

COSTS = dict(
    cost_exact=('expected cost', '#4477aa', '-'),
    cost_sampled=('expected cost, sampled', '#4477aa', '-'),
    cost_paper=('expected cost, form of the paper', '#ee8866', '--'),
    cost_tree=('cost of the likeliest tree', '#228833', '-'),
)


def draw_curves(
    history: Mapping[str, Sequence],
    path: str | Path,
    unit: str = '',
    shared: float | None = None,
    separate: float | None = None,
) -> Path:
    """Draw how a search went.

    Args:
        history: Lists of one length. ``update``: abscissa; any of ``cost_exact``, ``cost_paper``,
            ``cost_tree`` (None where not known), ``tau`` (temperature), ``losses`` (a dict of
            name -> loss for each entry).
        path: PNG to write.
        unit: Unit of the costs.
        shared, separate: Costs of the network with everything shared, or separate after the stem.

    Raises:
        ValueError: No ``update``, or lists of different lengths.
    """
    if not history.get('update'):
        raise ValueError("history: needs a list 'update' that is not empty")
    lengths = {key: len(values) for key, values in history.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f'history: lists of different lengths {lengths}')
    panels = [
        (draw, height)
        for draw, height, keys in (
            (_draw_costs, 2.6, COSTS),
            (_draw_losses, 2.0, ('losses',)),
            (_draw_temperature, 1.2, ('tau',)),
        )
        if any(key in history for key in keys)
    ]
    if not panels:
        raise ValueError(f'history: nothing to draw, known are {[*COSTS, "losses", "tau"]}')
    heights = [height for _, height in panels]
    figure = new_figure(8, 0.5 + sum(heights))
    axes = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, gridspec_kw=dict(height_ratios=heights)
    )[:, 0]
    for (draw, _), panel in zip(panels, axes):
        draw(panel, history, unit, shared, separate)
        plain_axes(panel, grid=True)
    axes[-1].set_xlabel('update', fontsize=9, color=INK)
    return save_figure(figure, path)


def _numbers(values: Sequence) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], float)


def _draw_costs(axes: Axes, history, unit, shared, separate) -> None:
    for key, (label, colour, style) in COSTS.items():
        if key in history:
            step = 'steps-post' if key == 'cost_tree' else 'default'
            axes.plot(
                history['update'],
                _numbers(history[key]),
                style,
                color=colour,
                lw=1.8,
                label=label,
                drawstyle=step,
            )
    for level, name in ((shared, 'all shared'), (separate, 'all separate')):
        if level is not None:
            axes.axhline(level, color=FAINT, lw=1, ls=':')
            axes.annotate(
                name,
                (1, level),
                xycoords=('axes fraction', 'data'),
                xytext=(-2, 3),
                textcoords='offset points',
                ha='right',
                fontsize=8,
                color=FAINT,
            )
    axes.set_ylabel(f'cost ({unit})' if unit else 'cost', fontsize=9, color=INK)
    axes.margins(y=0.12)
    _legend(axes)


def _draw_losses(axes: Axes, history, unit, shared, separate) -> None:
    names = list(dict.fromkeys(name for entry in history['losses'] for name in entry or {}))
    for name, colour in zip(names, task_colours(len(names))):
        # alpha updates report no losses of the tasks; a line with gaps hides single points
        values = _numbers([(entry or {}).get(name) for entry in history['losses']])
        known = np.isfinite(values)
        label, marker = name.removeprefix('loss_').replace('_', ' '), '.' if known.sum() < 3 else ''
        updates = np.asarray(history['update'])[known]
        axes.plot(updates, values[known], color=colour, lw=1.4, marker=marker, label=label)
    positive = [v for e in history['losses'] for v in (e or {}).values() if v and v > 0]
    if positive and max(positive) > 30 * min(positive):
        axes.set_yscale('log')
    axes.set_ylabel('loss', fontsize=9, color=INK)
    _legend(axes)


def _draw_temperature(axes: Axes, history, unit, shared, separate) -> None:
    axes.plot(history['update'], _numbers(history['tau']), color='#aa3377', lw=1.8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel('temperature', fontsize=9, color=INK)


def _legend(axes: Axes) -> None:
    """Legend outside the curves, to the right."""
    axes.legend(
        fontsize=8,
        frameon=False,
        loc='center left',
        bbox_to_anchor=(1.0, 0.5),
        labelcolor=INK,
        borderaxespad=0.4,
    )
