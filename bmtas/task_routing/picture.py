"""A picture of the masks of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bmtas.task_routing.mask_table import MaskTable
from bmtas.visualization import INK, new_figure, plain_axes, save_figure

MOST_LAYERS = 12


def draw_masks(masks: MaskTable, path: str | Path) -> Path:
    """Draw the mask of each layer, a row for each task, a column for each channel.

    Of deep networks ``MOST_LAYERS`` layers are shown, evenly spaced, the first and the last among
    them.
    """
    names = list(masks.layers)
    chosen = np.unique(np.linspace(0, len(names) - 1, min(MOST_LAYERS, len(names))).round())
    names = [names[int(index)] for index in chosen]
    height = 0.45 + min(1.6, 0.12 + 0.09 * len(masks.tasks))
    figure = new_figure(8, 0.6 + height * len(names), dpi=100)
    for axes, name in zip(np.atleast_1d(figure.subplots(len(names), 1)), names):
        mask = masks.layers[name]
        plain_axes(axes)
        axes.imshow(mask, cmap='Blues', vmin=0, vmax=1.3, aspect='auto', interpolation='nearest')
        few = len(masks.tasks) <= 12
        axes.set_yticks(range(len(masks.tasks)) if few else [], masks.tasks if few else [])
        used = mask.sum(0)
        axes.set_title(
            f'{name}: {mask.sum(1).min()} of {mask.shape[1]} channels for each task, '
            f'{(used == 0).sum()} for none',
            fontsize=8,
            loc='left',
            color=INK,
        )
    title = f'{masks.scheme}, keep ratio {masks.keep_ratio:g}, {len(masks.tasks)} tasks'
    figure.suptitle(title, fontsize=10, color=INK)
    return save_figure(figure, path)
