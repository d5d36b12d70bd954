"""Procedural materials: solid textures in metric coordinates, faded where they would alias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TEXTURES = ('plain', 'checker', 'bands', 'dots', 'planks', 'bricks', 'marble', 'tiles')


class Material(NamedTuple):
    """Two sRGB colours in [0, 1] mixed by a texture of period ``scale`` metres."""

    colour: np.ndarray
    second: np.ndarray
    texture: str = 'plain'
    scale: float = 0.2
    gloss: float = 0.1


class MaterialTable:
    """The materials of a scene as arrays, one column or entry for each."""

    def __init__(self, materials: Sequence[Material]) -> None:
        self.colour = _linear([m.colour for m in materials])
        self.difference = _linear([m.second for m in materials]) - self.colour
        self.texture = np.array([TEXTURES.index(m.texture) for m in materials])
        self.scale = np.array([m.scale for m in materials], np.float32)
        self.gloss = np.array([m.gloss for m in materials], np.float32)


def _linear(colours) -> np.ndarray:
    return np.clip(np.array(colours, np.float32).T, 0, 1) ** 2.2


def _hash(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pseudo-random numbers in [0, 1) for integer pairs."""
    value = np.sin(a * 12.9898 + b * 78.233) * 437.58545
    return value - np.floor(value)


def _checker(p):
    x, y, z = np.floor(p + p.dtype.type(0.013))
    half = (x + y + z) / 2
    return 2 * (half - np.floor(half))


def _bands(p):
    return np.sin(2 * np.pi * p[2]) > 0.1


def _dots(p):
    x, y, z = p - np.floor(p) - 0.5
    return x * x + y * y + z * z < 0.12


def _planks(p):
    row = np.floor(p[0])
    along = p[1] / 6 + _hash(row, 3 * row)
    piece = np.floor(along)
    tone = 0.15 + 0.55 * _hash(row, piece)
    seam = (p[0] - row < 0.06) | ((along - piece) < 0.012)
    return np.where(seam, 1.0, tone)


def _bricks(p):
    row = np.floor(p[1] / 0.5)
    along = p[0] + 0.5 * (row % 2)
    column = np.floor(along)
    mortar = (p[1] / 0.5 - row < 0.14) | (along - column < 0.07)
    return np.where(mortar, 1.0, 0.35 * _hash(row, column))


def _marble(p):
    q = 2 * np.pi * p
    wave = np.sin(q[0] + 1.7 * np.sin(0.7 * q[1] + 0.4 * q[2]) + 1.1 * np.sin(0.9 * q[2]))
    return 0.5 + 0.35 * wave + 0.15 * np.sin(2.3 * q[1] + wave)


def _tiles(p):
    cell = p - np.floor(p)
    grout = (cell[0] < 0.05) | (cell[1] < 0.05)
    return np.where(grout, 1.0, 0.2 * _hash(np.floor(p[0]), np.floor(p[1])))


_PATTERNS = dict(
    checker=_checker,
    bands=_bands,
    dots=_dots,
    planks=_planks,
    bricks=_bricks,
    marble=_marble,
    tiles=_tiles,
)
# mean of each pattern, what it fades to when a period is smaller than a pixel
_MEANS = dict(checker=0.5, bands=0.47, dots=0.3, planks=0.45, bricks=0.33, marble=0.5, tiles=0.18)


def albedo(
    table: MaterialTable, rows: np.ndarray, points: np.ndarray, footprint: np.ndarray
) -> np.ndarray:
    """Linear RGB reflectance (3, n).

    Args:
        table: The scene's materials.
        rows: Row of the table for every point (n,).
        points: Metric texture coordinates (3, n).
        footprint: Size of a pixel on the surface in metres (n,).
    """
    texture = table.texture[rows]
    mix = np.zeros(rows.shape, np.float32)
    for number, name in enumerate(TEXTURES[1:], 1):
        here = np.flatnonzero(texture == number) if number in table.texture else ()
        if len(here):
            scale = table.scale[rows[here]]
            # half a period per pixel is the finest that can be sampled
            keep = np.clip(2 - 4 * footprint[here] / scale, 0, 1)
            pattern = _PATTERNS[name](points.take(here, 1) / scale)
            mix[here] = _MEANS[name] + keep * (pattern - _MEANS[name])
    return table.colour.take(rows, 1) + mix * table.difference.take(rows, 1)
