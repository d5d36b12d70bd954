"""Colours of classes and scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NO_LABEL = np.array([150, 150, 150], np.uint8)
"""Colour of pixels without a label."""

# distinct at a glance, muted first colours since these are often background classes
_CLASSES = (
    '#cfc8b8',
    '#8c7b6b',
    '#e4572e',
    '#8d5a2b',
    '#f3c13a',
    '#3d7ea6',
    '#f08a24',
    '#7b4fa3',
    '#c2688f',
    '#3f9b54',
    '#2fb5a5',
    '#16425b',
    '#a9c75a',
    '#f2a7b5',
    '#5566cc',
    '#9e2a2b',
    '#6a994e',
    '#b8b8ff',
    '#e0aaff',
    '#606c38',
)


def class_colours(count: int, palette: str | Sequence[Sequence[int]] = 'bmtas') -> np.ndarray:
    """Colours (count, 3) uint8 of class ids.

    Args:
        count: Number of classes.
        palette: ``bmtas``, ``voc`` (the palette of PASCAL VOC) or a list of RGB triples, 0 to 255.

    Raises:
        ValueError: Unknown palette, or a list that is too short.
    """
    if palette == 'bmtas':
        listed = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _CLASSES[:count]]
        rest = _voc(count + 1)[len(listed) + 1 :].tolist()
        return np.array(listed + rest, np.uint8).reshape(-1, 3)
    if palette == 'voc':
        return _voc(count)
    if isinstance(palette, str):
        raise ValueError(f"unknown palette {palette!r}, choose 'bmtas', 'voc' or a list of colours")
    colours = np.asarray(palette)
    if colours.ndim != 2 or colours.shape[1] != 3 or len(colours) < count:
        raise ValueError(f'palette: need {count} RGB triples, got an array {colours.shape}')
    return colours[:count].astype(np.uint8)


def _voc(count: int) -> np.ndarray:
    """Bits of the class id, three by three, become the upper bits of red, green and blue."""
    ids = np.arange(count)
    colours = np.zeros((count, 3), int)
    for step in range(8):
        for channel in range(3):
            colours[:, channel] |= ((ids >> (3 * step + channel)) & 1) << (7 - step)
    return colours.astype(np.uint8)


def ramp(name: str, values: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of values in [0, 1] by a colour map of matplotlib."""
    import matplotlib

    return matplotlib.colormaps[name](values.astype(float), bytes=True)[..., :3].copy()
