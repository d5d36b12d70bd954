"""Gain against cost of several networks, with the Pareto front."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from bmtas.resources import UNITS

from .canvas import new_figure, plain_axes, save_figure
from .palettes import FAINT, INK, task_colours

Point = Mapping[str, object]
MARKERS = ('o', 's', '^', 'D')
_NUMBER = re.compile(r'[_-]\d+$')


def draw_comparison(
    points: Sequence[Point],
    front: Sequence[str],
    path: str | Path,
    axis: str = UNITS['madds'].label,
    unit: float = UNITS['madds'].scale,
) -> Path:
    """Draw Delta_m against a cost.

    Args:
        points: Dicts with ``name``, ``method`` (gives the colour; ``bmtas_1`` and ``bmtas_2``
            share one and differ in the marker), ``cost``, ``delta_m`` and optionally
            ``cost_std`` and ``delta_m_std`` for error bars.
        front: Names of the points on the Pareto front, by rising cost; a step line joins them.
        path: PNG to write.
        axis: Name of the cost.
        unit: What costs are divided by.

    Raises:
        ValueError: Nothing to draw.
    """
    if not points:
        raise ValueError('comparison: no run has a Delta_m; test with --baseline, or add the runs '
                         'of the single-task networks')  # fmt: skip
    scaled = [(p['cost'] / unit, (p.get('cost_std') or 0) / unit) for p in points]
    points = [dict(p, cost=c, cost_std=std) for p, (c, std) in zip(points, scaled)]
    figure = new_figure(9.5, 5)
    axes = figure.subplots()
    plain_axes(axes, grid=True)
    if front:
        by_name = {point['name']: point for point in points}
        x, y = ([by_name[name][key] for name in front] for key in ('cost', 'delta_m'))
        axes.step(x, y, where='post', color=FAINT, lw=1.2, zorder=1, label='Pareto front')
    _draw_methods(axes, points)
    axes.axhline(0, color=FAINT, lw=0.8, ls=':')
    axes.margins(0.12, 0.12)
    axes.set_xlabel(axis, color=INK)
    axes.set_ylabel('Delta_m (%), higher is better', color=INK)
    handles, labels = axes.get_legend_handles_labels()
    # the markers alone: error bars of a legend look like data
    handles = [h[0] if isinstance(h, ErrorbarContainer) else h for h in handles]
    figure.legend(handles, labels, frameon=False, fontsize=8, loc='outside right upper')
    figure.draw_without_rendering()  # the names need the final place of the points
    _name_points(figure, axes, points)
    return save_figure(figure, path)


def _draw_methods(axes: Axes, points: Sequence[Point]) -> None:
    """Points with error bars, in one colour and marker for each method."""
    methods = list(dict.fromkeys(str(point['method']) for point in points))
    families = list(dict.fromkeys(map(_family, methods)))
    colours = dict(zip(families, task_colours(len(families))))
    # one family, or two if there are more than colours: told apart by the marker
    looks: Counter[str] = Counter()
    for method in methods:
        colour = colours[_family(method)]
        marker = MARKERS[looks[colour] % len(MARKERS)]
        looks[colour] += 1
        group = [point for point in points if point['method'] == method]
        axes.errorbar(
            [p['cost'] for p in group],
            [p['delta_m'] for p in group],
            xerr=[p['cost_std'] for p in group],
            yerr=[p.get('delta_m_std') or 0 for p in group],
            fmt=marker,
            ms=6,
            color=colour,
            ecolor=colour,
            elinewidth=1,
            capsize=2,
            label=method,
            zorder=2,
        )


def _family(method: str) -> str:
    """The method without the number of its setting."""
    return _NUMBER.sub('', method)


# places of a name around its point: offset in points, horizontal and vertical alignment
_PLACES = (
    ((6, 4), 'left', 'bottom'),
    ((6, -4), 'left', 'top'),
    ((-6, 4), 'right', 'bottom'),
    ((-6, -4), 'right', 'top'),
    ((0, 12), 'center', 'bottom'),
    ((0, -12), 'center', 'top'),
    ((9, 0), 'left', 'center'),
    ((-9, 0), 'right', 'center'),
    ((14, 12), 'left', 'bottom'),
    ((14, -12), 'left', 'top'),
    ((-14, 12), 'right', 'bottom'),
    ((-14, -12), 'right', 'top'),
)


def _name_points(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Write each name where it covers the fewest points and names and belongs to its point."""
    renderer = figure.canvas.get_renderer()
    where = axes.transData.transform([(p['cost'], p['delta_m']) for p in points])
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in where]
    for number, point in enumerate(points):
        texts = [
            axes.annotate(
                _wrapped(str(point['name'])),
                (point['cost'], point['delta_m']),
                xytext=offset,
                textcoords='offset points',
                ha=ha,
                va=va,
                fontsize=7,
                color=INK,
                # legible on error bars
                path_effects=[withStroke(linewidth=2, foreground='white')],
                in_layout=False,  # a long name must not squeeze the axes
            )
            for offset, ha, va in _PLACES
        ]
        boxes = [text.get_window_extent(renderer) for text in texts]
        faults = [
            box.count_overlaps(taken) + _misleads(box, where, number) + _leaves(box, axes.bbox)
            for box in boxes
        ]
        best = faults.index(min(faults))
        taken.append(boxes[best])
        for index, text in enumerate(texts):
            if index != best:
                text.remove()


def _wrapped(name: str, width: int = 32) -> str:
    """Long names, such as a sweep's options, in several lines."""
    return textwrap.fill(name.replace(',', ', '), width) if len(name) > width else name


def _leaves(box: Bbox, frame: Bbox) -> int:
    """2, worse than a name or a point covered, for a box that is not within the frame."""
    return 0 if frame.x0 <= box.x0 and box.x1 <= frame.x1 else 2


def _misleads(box: Bbox, points: np.ndarray, own: int) -> bool:
    """Whether a name in this box is nearer to another point than to its own."""
    corners = np.array([box.min, box.max])
    distance = np.linalg.norm(points - points.clip(*corners), axis=1)
    return bool((distance < distance[own]).any())
