"""The picture of a search of network codes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def draw_search(
    report: Mapping[str, Any], records: Mapping[str, np.ndarray] | None, path: str | Path
) -> Path:
    """Draw predicted metrics against multiply-adds: records, trajectory, choice.

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

    goals = [goal['name'] for goal in report['goals']]
    figure = Figure(figsize=(5.2 * len(goals), 4.2), layout='constrained')
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
        axis.grid(alpha=0.25, which='both')
    axes[0].legend(fontsize=7, loc='lower right')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _draw_path(axis: Any, report: Mapping[str, Any], name: str) -> None:
    """The trajectory of the best start, the other starts' ends, and the choice."""
    steps = report['trajectory']
    cost = [step['madds_g'] for step in steps]
    value = [step['predicted'][name]['mean'] for step in steps]
    axis.plot(cost, value, '-', color='#2a6fbb', lw=1, alpha=0.5)
    axis.scatter(cost, value, 10, np.arange(len(steps)), cmap='viridis', zorder=3)
    axis.plot([], [], 'o-', ms=3, color='#2a6fbb', label='trajectory, predicted')
    if len(report['starts']) > 1:
        ends = [(s['madds_g'], s['predicted'][name]['mean']) for s in report['starts']]
        axis.scatter(*zip(*ends), 18, marker='x', color='#7a9cc6', label='best of other starts')
    chosen = report['chosen']
    predicted = chosen['predicted'][name]
    axis.errorbar(
        chosen['madds_g'],
        predicted['mean'],
        2 * predicted['std'],
        fmt='*',
        ms=14,
        color='#d1495b',
        capsize=3,
        zorder=5,
        label='choice, predicted',
    )
    for key, marker, label in (
        ('judged', 'v', 'choice, independent judge'),
        ('measured', 'D', 'choice, measured'),
    ):
        if chosen.get(key):
            axis.scatter(
                chosen['madds_g'], chosen[key][name], 40, marker=marker, color='#edae49',
                edgecolor='black', lw=0.6, zorder=6, label=label,
            )  # fmt: skip


def _fit(
    axis: Any, report: Mapping[str, Any], records: Mapping[str, np.ndarray] | None, name: str
) -> None:
    """Leave out the few records far below all others."""
    if records is None:
        return
    shown = [step['predicted'][name]['mean'] for step in report['trajectory']]
    low = min(float(np.quantile(records[name], 0.02)), *shown)
    high = max(float(records[name].max()), *shown)
    margin = 0.06 * (high - low)
    axis.set_ylim(low - margin, high + margin)
