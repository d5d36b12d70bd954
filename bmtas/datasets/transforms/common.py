"""What several transforms share: fill values by kind, resizing, padding, cropping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from bmtas.structures import IGNORE

IMG_FILL = 127.5
"""Grey of padded image pixels: 0 once intensities are mapped to [-1, 1]."""

LABEL_FILL = {'classes': IGNORE, 'mask': IGNORE, 'depth': 0, 'normals': 0}
"""Value of padded label pixels: ignored, or invalid."""


def map_labels(
    results: dict[str, Any], function: Callable[[np.ndarray, str], np.ndarray]
) -> dict[str, np.ndarray]:
    """Labels after ``function(array, kind)``, in a new dict."""
    return {
        name: function(array, results['kinds'][name]) for name, array in results['labels'].items()
    }


def resize_nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W[, C]) to ``size`` = (H, W), each pixel from the one under its centre."""
    if array.shape[:2] == size:
        return array
    return cv2.resize(array, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def to_pair(size: int | Sequence[int], name: str) -> tuple[int, int]:
    """(H, W) from one integer or two.

    Raises:
        ValueError: Not one or two positive integers.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or any(not isinstance(v, int) or v < 1 for v in pair):
        raise ValueError(f'{name}: size must be one or two positive integers, got {size!r}')
    return pair


def centred_padding(shape: Sequence[int], size: Sequence[int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) that brings (H, W) to at least ``size``, floor(delta/2) first."""
    delta = [max(want - have, 0) for have, want in zip(shape, size)]
    top, left = delta[0] // 2, delta[1] // 2
    return top, delta[0] - top, left, delta[1] - left


def pad_array(array: np.ndarray, pad: Sequence[int], fill: float | Sequence[float]) -> np.ndarray:
    """Pad (H, W[, C]) by (top, bottom, left, right) with ``fill`` (a number, or one per channel).

    An integer array that cannot hold the fill value becomes float32.
    """
    top, bottom, left, right = pad
    if not any(pad):
        return array
    dtype = array.dtype
    if np.issubdtype(dtype, np.integer) and not np.array_equal(np.asarray(fill, dtype), fill):
        dtype = np.float32
    height, width = array.shape[:2]
    shape = (height + top + bottom, width + left + right, *array.shape[2:])
    padded = np.empty(shape, dtype)
    for border in (
        padded[:top],
        padded[top + height :],
        padded[top : top + height, :left],
        padded[top : top + height, left + width :],
    ):
        border[...] = fill
    padded[top : top + height, left : left + width] = array
    return padded


def pad_sample(
    results: dict[str, Any], pad: Sequence[int], img_fill: float | Sequence[float]
) -> dict[str, Any]:
    """Pad the image with ``img_fill`` and each label with the value that its kind ignores."""
    return dict(
        results,
        img=pad_array(results['img'], pad, img_fill),
        labels=map_labels(results, lambda array, kind: pad_array(array, pad, LABEL_FILL[kind])),
    )
