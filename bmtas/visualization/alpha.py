"""Heat maps of the architecture probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .canvas import new_figure, save_figure
from .palettes import INK

COLUMNS = 6


def draw_alpha(
    probs: np.ndarray, tasks: Sequence[str], layers: Sequence[str] | None, path: str | Path
) -> Path:
    """Draw softmax(alpha), one heat map for each layer, tasks by candidates.

    A dot marks each task's likeliest candidate: dots in one column are tasks that choose the same.

    Args:
        probs: (L, T, K), rows sum to 1.
        tasks: T names.
        layers: L names; numbers where None.
        path: PNG to write.

    Raises:
        ValueError: Sizes that do not fit.
    """
    probs = np.asarray(probs, float)
    if probs.ndim != 3 or probs.shape[1] != len(tasks):
        raise ValueError(f'probs: need (L, {len(tasks)}, K), got {probs.shape}')
    num_layers, num_tasks, candidates = probs.shape
    layers = [str(i) for i in range(num_layers)] if layers is None else layers
    if len(layers) != num_layers:
        raise ValueError(f'probs have {num_layers} layers, there are {len(layers)} names')
    columns = min(COLUMNS, num_layers)
    rows = -(-num_layers // columns)
    figure = new_figure(
        1.9 + columns * (0.45 + 0.24 * candidates), 0.7 + rows * (0.55 + 0.24 * num_tasks)
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(panels.flat):
        if number >= num_layers:
            axes.set_visible(False)
            continue
        image = axes.imshow(probs[number], cmap='BuPu', vmin=0, vmax=1, aspect='equal')
        best = probs[number].argmax(1)
        for task, k in enumerate(best):
            tone = 'white' if probs[number, task, k] > 0.55 else INK
            axes.plot(k, task, 'o', ms=4, color=tone)
        axes.set_title(layers[number], fontsize=8, color=INK, pad=3)
        axes.set_xticks([])
        axes.set_yticks(range(num_tasks) if number % columns == 0 else [])
        if number % columns == 0:
            axes.set_yticklabels(tasks, fontsize=8, color=INK)
        axes.tick_params(length=0)
        axes.spines[:].set_color('#c9d1d8')
    bar = figure.colorbar(image, ax=panels, fraction=0.03, shrink=0.9, aspect=25)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    figure.suptitle('probability of each candidate (columns), by layer', fontsize=10, color=INK)
    return save_figure(figure, path)
