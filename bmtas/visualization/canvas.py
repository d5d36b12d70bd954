"""Figures without pyplot."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bmtas.files import atomic_path

from .palettes import FAINT, INK


def new_figure(width: float, height: float, dpi: int = 120) -> Figure:
    """An empty white figure in inches, to be drawn by Agg."""
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Axes, grid: bool = False) -> None:
    """Light frame: no upper and right line, muted ticks."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, length=3, color=FAINT)
    if grid:
        axes.grid(axis='y', color='#e3e7ea', linewidth=0.8)
        axes.set_axisbelow(True)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a PNG, whole or not at all; equal figures give equal files."""
    with atomic_path(path) as part:
        figure.savefig(part, format='png', metadata={'Software': None})
    return Path(path)
