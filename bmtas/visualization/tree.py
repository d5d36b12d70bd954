"""The branching tree as a map of lines: one coloured line per task, bundled where tasks share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from bmtas.resources import unit_named

from .canvas import new_figure, plain_axes, save_figure
from .palettes import INK, task_colours

if TYPE_CHECKING:
    from bmtas.branching import BranchingTree

BUNDLE = 0.13
"""Distance of the lines in a bundle; lanes of separate tasks are 1 apart."""


def draw_tree(tree: BranchingTree, path: str | Path, table: Any = None) -> Path:
    """Draw a tree, layers from left to right.

    A station is one copy of a layer, its number says how many tasks share it. With a resource table
    a second panel shows what each layer costs: dark one copy, light the further copies.

    Args:
        tree: The tree.
        path: PNG to write.
        table: Anything with ``stem``, ``layers``, ``heads``; ``unit`` if it has one.
    """
    layers, tasks = tree.num_layers, tree.num_tasks
    height = 1.5 + 0.55 * tasks
    width = 3.2 + 0.58 * layers
    figure = new_figure(width, height + (1.7 if table is not None else 0))
    if table is None:
        axes = figure.subplots()
        _name_layers(axes, tree)
    else:
        axes, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw=dict(height_ratios=[height, 1.7])
        )
        axes.tick_params(bottom=False, labelbottom=False)
        _draw_costs(below, tree, table)
        _name_layers(below, tree)
    _draw_lines(axes, tree)
    figure.suptitle(_title(tree, table), fontsize=11, color=INK)
    return save_figure(figure, path)


def leaf_order(tree: BranchingTree) -> list[int]:
    """Tasks in an order in which groups are neighbours and no two branches cross."""
    return sorted(range(tree.num_tasks), key=lambda task: tree.routes[:, task].tolist())


def _positions(tree: BranchingTree) -> tuple[np.ndarray, np.ndarray]:
    """Heights (L + 2, T), stem and heads included, of every task's line and its group's centre."""
    lane = np.empty(tree.num_tasks)
    lane[leaf_order(tree)] = -np.arange(tree.num_tasks, dtype=float)
    routes = np.vstack([0 * tree.routes[:1], tree.routes, [np.arange(tree.num_tasks)]])
    centre, line = np.empty(routes.shape), np.empty(routes.shape)
    for layer, row in enumerate(routes):
        for group in np.unique(row):
            members = np.flatnonzero(row == group)
            centre[layer, members] = lane[members].mean()
            rank = lane[members].argsort().argsort()
            line[layer, members] = centre[layer, members[0]] + BUNDLE * (
                rank - (len(members) - 1) / 2
            )
    return line, centre


def _draw_lines(axes: Axes, tree: BranchingTree) -> None:
    line, centre = _positions(tree)
    colours = task_colours(tree.num_tasks)
    bend = np.linspace(0, 1, 25)
    ease = bend * bend * (3 - 2 * bend)
    for task in range(tree.num_tasks):
        x, y = [], []
        for layer in range(tree.num_layers + 1):
            start, end = line[layer, task], line[layer + 1, task]
            x.append(layer - 1 + bend)
            y.append(start + ease * (end - start))
        axes.plot(
            np.concatenate(x), np.concatenate(y), color=colours[task], lw=4, solid_capstyle='round'
        )
        axes.text(
            tree.num_layers + 0.25,
            line[-1, task],
            tree.tasks[task],
            color=colours[task],
            va='center',
            fontsize=10,
            fontweight='bold',
        )
    _draw_stations(axes, -1, [(centre[0, 0], tree.num_tasks)], 'stem')
    for layer in range(tree.num_layers):
        row, heights = tree.routes[layer], centre[layer + 1]
        groups = [(heights[row == g][0], int((row == g).sum())) for g in np.unique(row)]
        _draw_stations(axes, layer, groups)
    longest = max(map(len, tree.tasks))
    axes.set_xlim(-1.6, tree.num_layers + 0.5 + 0.15 * longest)
    axes.set_ylim(-tree.num_tasks + 0.4, 0.6)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _draw_stations(axes: Axes, x: float, groups: list[tuple[float, int]], text: str = '') -> None:
    for y, count in groups:
        half = BUNDLE * (count - 1) / 2 + 0.11
        width = 0.5 if text else 0.28
        axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - half),
                width,
                2 * half,
                boxstyle='round,pad=0.03,rounding_size=0.1',
                facecolor='white',
                edgecolor=INK,
                linewidth=1.2,
                zorder=3,
            )
        )
        label = text or str(count)
        axes.text(x, y, label, ha='center', va='center', fontsize=8, color=INK, zorder=4)


def _name_layers(axes: Axes, tree: BranchingTree) -> None:
    names = tree.layers or tuple(str(layer) for layer in range(tree.num_layers))
    turn = 0 if max(map(len, names)) <= 3 else 45
    axes.set_xticks(range(tree.num_layers))
    axes.set_xticklabels(
        names, rotation=turn, ha='right' if turn else 'center', rotation_mode='anchor'
    )
    axes.tick_params(axis='x', labelsize=8, length=0, colors=INK)


def _draw_costs(axes: Axes, tree: BranchingTree, table: Any) -> None:
    unit = unit_named(table.unit)
    one = np.array(table.layers, float) / unit.scale
    groups = np.array(tree.num_groups)
    axes.bar([-1], [table.stem / unit.scale], 0.6, color='#3d5a80')
    axes.bar(range(tree.num_layers), one, 0.6, color='#3d5a80', label='one copy')
    axes.bar(
        range(tree.num_layers),
        one * (groups - 1),
        0.6,
        bottom=one,
        color='#a9bfd6',
        label='further copies',
    )
    for layer, (cost, count) in enumerate(zip(one, groups)):
        if count > 1:
            axes.annotate(
                f'x{count}',
                (layer, cost * count),
                xytext=(0, 2),
                textcoords='offset points',
                ha='center',
                fontsize=7,
                color=INK,
            )
    axes.set_ylabel(unit.label, fontsize=9, color=INK)
    axes.margins(y=0.18)
    plain_axes(axes, grid=True)
    axes.legend(fontsize=8, frameon=False, loc='upper right', labelcolor=INK)


def _title(tree: BranchingTree, table: Any) -> str:
    if table is None:
        return f'{tree.num_tasks} tasks, {sum(tree.num_groups)} copies of {tree.num_layers} layers'
    encoder = sum(table.layers)
    rest = tree.cost(table) - sum(c * n for c, n in zip(table.layers, tree.num_groups))
    shared, separate = rest + encoder, rest + tree.num_tasks * encoder
    unit = unit_named(table.unit)
    return (
        f'{unit.exact(tree.cost(table), 4)}'
        f'   (all shared {shared / unit.scale:.4g}, all separate {separate / unit.scale:.4g})'
    )
