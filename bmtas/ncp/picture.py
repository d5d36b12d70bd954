"""The picture of a search of network codes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import atomic_path


def draw_search(
    report: Mapping[str, Any], records: Mapping[str, np.ndarray] | None, path: str | Path
) -> Path:
    """Draw predicted metrics against multiply-adds: records, trajectory, choice, best record.

    One panel per goal. Records stand where they were measured; the code that was chosen stands
    where it was predicted, with two deviations of the ensemble, and where the independent judge
    sees it.

    Args:
        report: Content of ``ncp.json``.
        records: ``madds_g`` (N,) and a column (N,) for each goal; None without records.
        path: File to write, its folder is made.

    Returns:
        The file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    goals = [goal['name'] for goal in report['goals']]
    figure = Figure(figsize=(5.6 * len(goals), 4.8), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(goals), squeeze=False)[0]
    for axis, name in zip(axes, goals):
        if records is not None:
            axis.scatter(records['madds_g'], records[name], 4, '#b8c0c8', label='records, measured')
        _draw_path(axis, report, name)
        limit = report['budget']['madds_g']
        if limit is not None:
            axis.axvline(limit, color='#444444', ls=':', lw=1, label='budget')
        _fit(axis, report, records, name)
        axis.set(xlabel='multiply-adds (G)', ylabel=name, xscale='log')
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter('{x:g}')
        axis.xaxis.set_minor_formatter('')
        axis.grid(alpha=0.25, which='both')
    axes[0].legend(fontsize=7, loc='lower right')
    with atomic_path(path) as part:
        figure.savefig(part, format='png', dpi=130)
    return Path(path)


def _draw_path(axis: Any, report: Mapping[str, Any], name: str) -> None:
    """The trajectory of the best start, the other starts' ends, the best record, the choice."""
    steps = report['trajectory']
    cost = [step['madds_g'] for step in steps]
    value = [step['predicted'][name]['mean'] for step in steps]
    axis.plot(cost, value, '-', color='#2a6fbb', lw=1, alpha=0.6, zorder=4)
    axis.scatter(cost, value, 12, np.arange(len(steps)), cmap='viridis', zorder=5)
    axis.plot([], [], 'o-', ms=3, color='#2a6fbb', label='trajectory, predicted (dark: first)')
    if len(report['starts']) > 1:
        ends = [(s['madds_g'], s['predicted'][name]['mean']) for s in report['starts']]
        axis.scatter(*zip(*ends), 18, marker='x', color='#7a9cc6', label='best of other starts')
    front = [(code['madds_g'], code['predicted'][name]['mean']) for code in report['front']]
    axis.plot(*zip(*front), '--', color='#8a5fb0', lw=1.2, zorder=3, label='front of the codes met')
    best = (report['records_within_budget'] or [None])[0]
    if best:
        axis.scatter(
            best['madds_g'], best['measured'][name], 42, marker='s', color='#3a9d5d',
            edgecolor='black', lw=0.6, zorder=6, label='best record within the cost, measured',
        )  # fmt: skip
    chosen = report['chosen']
    predicted = chosen['predicted'][name]
    axis.errorbar(
        chosen['madds_g'],
        predicted['mean'],
        2 * predicted['std'],
        fmt='*',
        ms=11,
        color='#d1495b',
        capsize=3,
        zorder=7,
        label='choice, predicted (2 deviations)',
    )
    for key, marker, label in (
        ('judged', 'v', 'choice, independent judge'),
        ('measured', 'D', 'choice, measured'),
    ):
        if chosen.get(key):
            axis.scatter(
                chosen['madds_g'], chosen[key][name], 40, marker=marker, color='#edae49',
                edgecolor='black', lw=0.6, zorder=8, label=label,
            )  # fmt: skip


def _fit(
    axis: Any, report: Mapping[str, Any], records: Mapping[str, np.ndarray] | None, name: str
) -> None:
    """Leave out the few records far below, or far cheaper than, all others."""
    if records is None:
        return
    chosen, steps = report['chosen']['predicted'][name], report['trajectory']
    shown = [step['predicted'][name]['mean'] for step in steps]
    shown += [chosen['mean'] - 2 * chosen['std'], chosen['mean'] + 2 * chosen['std']]
    low = min(float(np.quantile(records[name], 0.02)), *shown)
    high = max(float(records[name].max()), *shown)
    margin = 0.06 * (high - low)
    axis.set_ylim(low - margin, high + margin)
    costs = [step['madds_g'] for step in steps]
    cheap = min(float(np.quantile(records['madds_g'], 0.02)), *costs)
    axis.set_xlim(cheap / 1.2, 1.2 * max(float(records['madds_g'].max()), *costs))
