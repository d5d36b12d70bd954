"""Kinds whose label is a map of the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import mmcv
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from .base import Draw, Kind


@dataclass(frozen=True)
class MapKind(Kind):
    """A label for every pixel: arrays (H, W[, C > 1]), tensors ([C,] H, W).

    Subclasses give the value of unlabelled pixels (``fill``) and say what a flip, a turn or a zoom
    does to values (``mirrored``, ``turned``, ``zoomed``); moving the pixels is done here.
    """

    fill: ClassVar[float] = 0

    def mirrored(self, array: np.ndarray) -> np.ndarray:
        """Values after a flip left to right; may work in place."""
        return array

    def turned(self, array: np.ndarray, angle: float) -> np.ndarray:
        """Values after a rotation by degrees counter-clockwise as seen on the screen."""
        return array

    def zoomed(self, array: np.ndarray, zoom: float) -> np.ndarray:
        """Values after a zoom: the scene looks as from 1/zoom of the distance."""
        return array

    @property
    def outside(self) -> float:
        """Value of pixels that a transform brings in."""
        return self.fill

    def mirror(self, array: np.ndarray) -> np.ndarray:
        return self.mirrored(cv2.flip(array, 1))

    def crop(self, array: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
        return array[window]

    def pad(self, array: np.ndarray, pad: Sequence[int]) -> np.ndarray:
        return pad_array(array, pad, self.outside)

    def resize(self, array: np.ndarray, size: tuple[int, int], zoom: float = 1.0) -> np.ndarray:
        if array.shape[:2] != tuple(size):
            array = cv2.resize(array, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return array if zoom == 1 else self.zoomed(array, zoom)

    def rotate(
        self, array: np.ndarray, matrix: np.ndarray, angle: float, zoom: float
    ) -> np.ndarray:
        moved = warp(array, matrix, cv2.INTER_NEAREST, self.outside)
        moved = moved if angle == 0 else self.turned(moved, angle)
        return moved if zoom == 1 else self.zoomed(moved, zoom)

    def resize_logits(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        if tuple(logits.shape[-2:]) == tuple(size):
            return logits
        return F.interpolate(logits, size=tuple(size), mode='bilinear', align_corners=False)

    def unpad(self, values: Tensor, pad: Sequence[int] | None) -> Tensor:
        return crop_padding(values, pad)

    def colours(
        self, values: Any, draw: Draw, limits: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Colours (H, W, 3) uint8 of a label or prediction; unlabelled pixels are grey.

        Args:
            values: ([C,] H, W), array or tensor.
            draw: The task's ``draw``.
            limits: Range of the colour scale; that of the values by default.
        """
        raise NotImplementedError(f'kind {self} does not say how it is drawn')

    def to_file(self, prediction: Tensor) -> np.ndarray:
        """A prediction as pixels of an image file that ``decode`` reads as a label."""
        raise NotImplementedError(f'kind {self} does not say how it is written')


def crop_padding(values: Any, pad: Sequence[int] | None) -> Any:
    """Cut ``pad`` = (top, bottom, left, right) off the last two dimensions of a map (..., H, W)."""
    if not pad or not any(pad):
        return values
    top, bottom, left, right = pad
    height, width = values.shape[-2:]
    return values[..., top : height - bottom, left : width - right]


def pad_array(array: np.ndarray, pad: Sequence[int], fill: float | Sequence[float]) -> np.ndarray:
    """Pad (H, W[, C]) by (top, bottom, left, right) with ``fill`` (a number, or one per channel
    of at most four).

    An integer array that cannot hold the fill value becomes float32.
    """
    top, bottom, left, right = pad
    if not any(pad):
        return array
    if array.dtype.kind in 'iu' and not np.array_equal(np.asarray(fill).astype(array.dtype), fill):
        array = array.astype(np.float32)
    if array.ndim == 3 and array.shape[2] > 4:  # more than OpenCV has fill values for
        return np.pad(array, ((top, bottom), (left, right), (0, 0)), constant_values=fill)
    if array.ndim == 3:  # OpenCV fills the first channel alone with a single number
        fill = tuple(np.broadcast_to(np.asarray(fill, float), array.shape[2]).tolist())
    if min(array.strides) < 0:  # OpenCV takes windows, but nothing mirrored
        array = np.ascontiguousarray(array)
    return mmcv.impad(array, padding=(left, top, right, bottom), pad_val=fill)


def warp(
    array: np.ndarray, matrix: np.ndarray, interpolation: int, fill: float | Sequence[float]
) -> np.ndarray:
    """Move (H, W[, C]) by an affine matrix (2, 3); the size stays, ``fill`` comes in."""
    fill = (fill,) * 4 if isinstance(fill, (int, float)) else tuple(fill)
    return cv2.warpAffine(
        np.ascontiguousarray(array),
        matrix,
        array.shape[1::-1],
        flags=interpolation,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )


def one_channel(raw: np.ndarray, path: Path, what: str) -> np.ndarray:
    """A map (H, W) from a file's values (H, W) or (H, W, 1)."""
    raw = raw[..., 0] if raw.ndim == 3 and raw.shape[2] == 1 else raw
    if raw.ndim != 2:
        raise ValueError(f'{path}: {what} has two dimensions, this one {raw.shape}')
    return raw
