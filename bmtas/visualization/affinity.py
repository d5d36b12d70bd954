"""Picture of the representation similarity analysis: task affinities beside a tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

from .canvas import new_figure, save_figure
from .palettes import INK
from .tree import leaf_order

if TYPE_CHECKING:
    from bmtas.branching import BranchingTree

COLUMNS = 6
GAP = 1.4
"""Space between two matrices, in cells."""
CELL, MATRIX = 0.3, 2.4
"""Sides in inches: of a cell, and of a whole matrix at most."""
MAX_WRITTEN = 12
"""Up to so many tasks the values are written into the cells."""


def draw_affinity(
    affinity: np.ndarray,
    tasks: Sequence[str],
    locations: Sequence[str],
    path: str | Path,
    tree: BranchingTree | None = None,
    label: str = 'rank correlation of dissimilarities',
) -> Path:
    """Draw one matrix for each location and, on the left, a tree with its root on top.

    Args:
        affinity: (D, T, T) in [-1, 1].
        tasks: T names.
        locations: D names.
        path: PNG to write.
        tree: Tree of the same tasks, optional.
        label: What the values are.
    """
    affinity = np.asarray(affinity)
    columns = min(COLUMNS, len(affinity))
    rows = -(-len(affinity) // columns)
    step = _cell(len(tasks)) * (len(tasks) + GAP)
    width, height = step * columns + 1.9, max(step * rows + 1.0, 4.5)
    beside = 0 if tree is None else 3.4
    figure = new_figure(beside + width, height)
    if tree is None:
        right = figure.subplots()
    else:
        left, right = figure.subplots(1, 2, width_ratios=[beside, width])
        _draw_tree(left, tree.reorder(tasks))
    image = _draw_matrices(right, affinity, tasks, locations, columns)
    bar = figure.colorbar(image, ax=right, shrink=0.6, aspect=30)
    bar.set_label(label, fontsize=7, color=INK)
    bar.ax.tick_params(labelsize=6)
    return save_figure(figure, path)


def _cell(num_tasks: int) -> float:
    return min(CELL, MATRIX / num_tasks)


def _draw_matrices(
    axes: Axes, affinity: np.ndarray, tasks: Sequence[str], locations: Sequence[str], columns: int
) -> ScalarMappable:
    """All matrices in one plot, which is many times faster than one plot each."""
    size = len(tasks)
    step = size + GAP
    # one scale for all; the diagonal of ones tells nothing
    others = ~np.eye(size, dtype=bool)
    apart = affinity[:, others]
    low, high = (apart.min(), apart.max()) if apart.size else (0.0, 1.0)
    font = 4.5 * _cell(size) / CELL
    for index, matrix in enumerate(affinity):
        x, y = step * (index % columns), step * (index // columns)
        image = axes.imshow(
            np.ma.masked_array(matrix, ~others),
            vmin=low,
            vmax=high,
            cmap='viridis',
            extent=(x - 0.5, x + size - 0.5, y + size - 0.5, y - 0.5),
        )
        axes.text(x + size / 2 - 0.5, y - 0.6, locations[index], ha='center', fontsize=7)
        for row, column in zip(*np.nonzero(others)) if size <= MAX_WRITTEN else ():
            value = matrix[row, column]
            color = 'white' if value < (low + high) / 2 else 'black'
            at = (x + column, y + row)
            axes.text(*at, f'{value:.2f}', ha='center', va='center', fontsize=font, color=color)
    rows = -(-len(affinity) // columns)
    axes.set_xlim(-0.5, step * columns - GAP - 0.5)
    axes.set_ylim(step * rows - GAP - 0.5, -1.6)
    cells = np.arange(size)
    across = np.concatenate([step * c + cells for c in range(columns)])
    down = np.concatenate([step * r + cells for r in range(rows)])
    label = min(6, 60 * _cell(size))
    axes.set_xticks(across, list(tasks) * columns, rotation=90, fontsize=label)
    axes.set_yticks(down, list(tasks) * rows, fontsize=label)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _draw_tree(axes: Axes, tree: BranchingTree) -> None:
    """Layers downwards, one line for each group."""
    place = np.empty(tree.num_tasks)
    place[leaf_order(tree)] = np.arange(tree.num_tasks)
    before = np.full(tree.num_tasks, place.mean())
    axes.plot(before[0], -1, 'ks', markersize=6)
    for layer, row in enumerate(tree.routes):
        here = np.array([place[row == group].mean() for group in row])
        for task in range(tree.num_tasks):
            width = min(1.2, 12 / tree.num_tasks) * (row == row[task]).sum()
            x = [before[task], here[task]]
            axes.plot(x, [layer - 1, layer], color='0.45', lw=width, solid_capstyle='round')
        axes.plot(here, [layer] * len(here), 'o', color='black', markersize=3, zorder=3)
        before = here
    depth, font = tree.num_layers, min(8, 160 / tree.num_tasks)
    for task, name in enumerate(tree.tasks):
        axes.plot([before[task], place[task]], [depth - 1, depth], color='0.45', lw=1.2)
        axes.text(place[task], depth + 0.2, name, rotation=90, ha='center', va='top', fontsize=font)
    names = tree.layers or range(depth)
    axes.set_yticks([-1, *range(depth)], ['stem', *map(str, names)], fontsize=6)
    axes.set_ylim(depth + 4, -1.5)
    axes.set_xlim(-0.7, tree.num_tasks - 0.3)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
