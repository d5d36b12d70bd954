"""A sheet of predictions beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from bmtas.kinds import to_array
from bmtas.tasks import MultiTaskSample, Task

from .canvas import new_figure, save_figure
from .palettes import FAINT, INK, RED

CELL, WORDS = 1.2, 0.85
"""Width of a picture, and of a cell with words, in inches."""
SPACE, TASK_SPACE, MARGIN, HEAD, LEGEND_ROW = 0.04, 0.16, 0.1, 0.5, 0.26
WRONG = '✗ '
"""In front of a word that is not the truth's."""


def draw_predictions(
    images: Sequence[Any],
    samples: Sequence[MultiTaskSample],
    tasks: Sequence[Task],
    path: str | Path,
) -> Path:
    """Draw a row for each image: the image, then truth and prediction of every task.

    Truth and prediction share one colour range where the kind has one; image-level tasks are
    words, wrong ones marked. A task without label, or without prediction, in a sample leaves its
    cell empty.

    Args:
        images: (3, H, W) RGB, 0 to 255; arrays or tensors.
        samples: ``labels`` by label key and ``predictions`` by task name, maps of the image's size.
        tasks: What to draw.
        path: PNG to write.

    Raises:
        ValueError: No image, no task, or not one sample for each image.
    """
    if not len(images) or not len(tasks) or len(images) != len(samples):
        raise ValueError(
            f'predictions: {len(images)} images, {len(samples)} samples, {len(tasks)} tasks; '
            'need as many samples as images and at least one of each'
        )
    sheet = _Sheet(images, tasks)
    for number, (image, sample) in enumerate(zip(images, samples)):
        picture = to_array(image).transpose(1, 2, 0)
        sheet.show(number, 0, np.clip(np.round(picture), 0, 255).astype(np.uint8))
        for column, task in enumerate(tasks):
            for half, colours in enumerate(_pair(sample, task)):
                sheet.show(number, 1 + 2 * column + half, colours)
    sheet.legend()
    return save_figure(sheet.figure, path)


def _pair(sample: MultiTaskSample, task: Task) -> list[np.ndarray | str | None]:
    """Colours, or words, of truth and prediction; None where there is none."""
    labels, predictions = sample.get('labels'), sample.get('predictions')
    truth = labels[task.label] if labels is not None and task.label in labels else None
    found = predictions is not None and task.name in predictions
    maps = [truth, predictions[task.name] if found else None]
    if not task.kind.dense:
        words = [None if m is None else task.kind.caption(m, task.draw) for m in maps]
        if None not in words and task.kind.is_wrong(predictions[task.name], truth):
            words[1] = WRONG + words[1]
        return words
    known = [m for m in maps if m is not None]
    limits = task.kind.limits(known[:1])
    return [None if m is None else task.kind.colours(m, task.draw, limits) for m in maps]


class _Sheet:
    """Cells at fixed places, in inches from the upper left corner."""

    def __init__(self, images: Sequence[Any], tasks: Sequence[Task]) -> None:
        shapes = [to_array(image).shape[-2:] for image in images]
        self.tasks = tasks
        # every row has the aspect ratio of its photo
        self.cells = [CELL * height / width for height, width in shapes]
        self.tops = [HEAD + sum(self.cells[:n]) + n * SPACE for n in range(len(images))]
        self.legends = {t.name: t.kind.legend(t.draw) for t in tasks if t.kind.legend(t.draw)}
        self.widths = [CELL]
        for task in tasks:
            self.widths += 2 * [CELL if task.kind.dense else WORDS]
        self.width = self._left(len(self.widths)) - SPACE - TASK_SPACE + MARGIN
        self.bottom = self.tops[-1] + self.cells[-1] + SPACE
        self.columns = max(3, int((self.width - 1.4) / 1.1))
        self.rows = [-(-len(entries) // self.columns) for entries in self.legends.values()]
        self.height = self.bottom + LEGEND_ROW * sum(self.rows) + MARGIN
        self.figure = new_figure(self.width, self.height)
        self.figure.set_layout_engine('none')
        self._head()

    def _left(self, column: int) -> float:
        between = column * SPACE + (column + 1) // 2 * TASK_SPACE
        return MARGIN + sum(self.widths[:column]) + between

    def _text(self, x: float, y: float, text: str, **options) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, text, color=INK, **options)

    def _head(self) -> None:
        centre = dict(ha='center', va='center')
        self._text(self._left(0) + CELL / 2, 0.36, 'image', fontsize=8, **centre)
        for number, task in enumerate(self.tasks):
            left, cell = self._left(1 + 2 * number), self.widths[1 + 2 * number]
            name = task.name.replace('_', ' ')
            middle = left + cell + SPACE / 2
            self._text(middle, 0.16, name, fontsize=10, fontweight='bold', **centre)
            self._text(left + cell / 2, 0.36, 'truth', fontsize=8, **centre)
            second = left + 1.5 * cell + SPACE
            self._text(second, 0.36, 'prediction', fontsize=8, **centre)

    def show(self, row: int, column: int, picture: np.ndarray | str | None) -> None:
        """Put a picture (H, W, 3) or a few words into a cell, or leave the cell empty."""
        place = (
            self._left(column) / self.width,
            1 - (self.tops[row] + self.cells[row]) / self.height,
            self.widths[column] / self.width,
            self.cells[row] / self.height,
        )
        axes = self.figure.add_axes(place)
        axes.axis('off')
        if picture is None or isinstance(picture, str):
            colour = FAINT if picture is None else RED if picture.startswith(WRONG) else INK
            text = dict(ha='center', va='center', fontsize=8, color=colour)
            axes.text(0.5, 0.5, picture or 'none', **text)
        else:
            axes.imshow(picture, interpolation='nearest', aspect='auto')

    def legend(self) -> None:
        """Names of the classes, one block for each task that has names."""
        top = self.bottom + LEGEND_ROW / 2
        for (name, entries), rows in zip(self.legends.items(), self.rows):
            title = name.replace('_', ' ')
            self._text(MARGIN, top, title, fontsize=8, fontweight='bold', va='center')
            for number, (colour, text) in enumerate(entries):
                row, column = divmod(number, self.columns)
                x, y = MARGIN + 1.1 + 1.1 * column, top + row * LEGEND_ROW
                self._swatch(x, y, colour)
                self._text(x + 0.2, y, text, fontsize=8, va='center')
            top += rows * LEGEND_ROW

    def _swatch(self, x: float, y: float, colour: np.ndarray) -> None:
        corner = (x / self.width, 1 - (y + 0.06) / self.height)
        self.figure.add_artist(
            Rectangle(corner, 0.13 / self.width, 0.12 / self.height, color=colour / 255)
        )
