"""Gain against cost of several networks, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .canvas import new_figure, plain, save
from .palettes import FAINT, INK, task_colours

Point = Mapping[str, object]


def draw_comparison(points: Sequence[Point], front: Sequence[str], path: str | Path) -> Path:
    """Draw Delta_m against MAdds.

    Args:
        points: Dicts with ``name``, ``method`` (gives the colour), ``madds``, ``delta_m`` and
            optionally ``madds_std`` and ``delta_m_std`` for error bars.
        front: Names of the points on the Pareto front, by rising cost; a step line joins them.
        path: PNG to write.

    Raises:
        ValueError: Nothing to draw.
    """
    if not points:
        raise ValueError('comparison: no run has a Delta_m; test with --baseline, or add the runs '
                         'of the single-task networks')  # fmt: skip
    figure = new_figure(8, 5)
    axes = figure.subplots()
    plain(axes, grid=True)
    methods = list(dict.fromkeys(str(point['method']) for point in points))
    colours = dict(zip(methods, task_colours(len(methods))))
    by_name = {point['name']: point for point in points}
    x = [by_name[name]['madds'] / 1e9 for name in front]
    y = [by_name[name]['delta_m'] for name in front]
    axes.step(x, y, where='post', color=FAINT, lw=1.2, zorder=1, label='Pareto front')
    for method in methods:
        group = [point for point in points if point['method'] == method]
        axes.errorbar(
            [p['madds'] / 1e9 for p in group],
            [p['delta_m'] for p in group],
            xerr=[(p.get('madds_std') or 0) / 1e9 for p in group],
            yerr=[p.get('delta_m_std') or 0 for p in group],
            fmt='o',
            ms=6,
            color=colours[method],
            ecolor=colours[method],
            elinewidth=1,
            capsize=2,
            label=method,
            zorder=2,
        )
    _name_points(axes, points)
    axes.axhline(0, color=FAINT, lw=0.8, ls=':')
    axes.margins(0.12, 0.12)
    axes.set_xlabel('GMAdds', color=INK)
    axes.set_ylabel('Delta_m (%), higher is better', color=INK)
    axes.legend(frameon=False, fontsize=8, loc='best')
    return save(figure, path)


def _name_points(axes, points: Sequence[Point]) -> None:
    """Write the names, neighbours in cost on alternating sides."""
    for index, point in enumerate(sorted(points, key=lambda p: p['madds'])):
        axes.annotate(
            str(point['name']),
            (point['madds'] / 1e9, point['delta_m']),
            xytext=(6, 6 if index % 2 == 0 else -11),
            textcoords='offset points',
            fontsize=7,
            color=INK,
        )
