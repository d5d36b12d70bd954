"""Predictions on the photo and beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from bmtas.tasks import Task

OPACITY = 0.55


def overlay(image: np.ndarray, prediction: Any, task: Task) -> np.ndarray:
    """A prediction on its photo: colours shine through, words stand on a band below.

    Args:
        image: (H, W, 3) uint8 RGB.
        prediction: As the task's kind activates logits, of the image's size.
        task: The task.

    Returns:
        (H, W, 3) uint8; taller by the band for image-level tasks.
    """
    if not task.kind.dense:
        words = task.kind.caption(prediction, task.draw).replace('\n', ' ')
        return np.concatenate([image, _band(f'{task.name}: {words}', image.shape[1])])
    colours = task.kind.colours(prediction, task.draw).astype(np.float32)
    return np.round(OPACITY * colours + (1 - OPACITY) * image).astype(np.uint8)


def side_by_side(
    image: np.ndarray, predictions: Mapping[str, Any], tasks: Sequence[Task]
) -> np.ndarray:
    """The photo and the colours of every dense task in a row, each with its name above.

    Image-level tasks stand on a band below. Returns (h, w, 3) uint8.
    """
    panels = [('image', image)]
    panels += [(t.name, t.kind.colours(predictions[t.name], t.draw)) for t in tasks if t.kind.dense]
    gap = np.full((1, 4, 3), 255, np.uint8)
    columns = []
    for name, pixels in panels:
        column = np.concatenate([_band(name, pixels.shape[1]), pixels])
        columns += [column, np.broadcast_to(gap, (len(column), 4, 3))]
    sheet = np.concatenate(columns[:-1], axis=1)
    words = [
        f'{t.name}: {t.kind.caption(predictions[t.name], t.draw)}'.replace('\n', ' ')
        for t in tasks
        if not t.kind.dense
    ]
    return np.concatenate([sheet, *(_band(text, sheet.shape[1]) for text in words)])


def _band(text: str, width: int) -> np.ndarray:
    """A white band with a text that fits into its width."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (needed, _), _ = cv2.getTextSize(text, font, size, 1)
    size *= min(1.0, (width - 8) / max(needed, 1))
    band = np.full((22, width, 3), 255, np.uint8)
    cv2.putText(band, text, (4, 16), font, max(size, 0.1), (34, 48, 60), 1, cv2.LINE_AA)
    return band
