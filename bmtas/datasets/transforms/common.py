"""What several transforms share: labels through their kinds, sizes, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bmtas.kinds import Kind, pad_array

IMG_FILL = 127.5
"""Grey of padded image pixels: 0 once intensities are mapped to [-1, 1]."""


def map_labels(
    results: dict[str, Any], function: Callable[[Kind, np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """Labels after ``function(kind, array)``, in a new dict."""
    return {
        name: function(results['kinds'][name], array) for name, array in results['labels'].items()
    }


def label_kind(results: dict[str, Any], name: str, suits: Any, owner: str) -> Kind:
    """The kind of a label that a transform can only treat if it is one of some.

    Raises:
        ValueError: It is another one.
    """
    kind = results['kinds'][name]
    if not isinstance(kind, suits):
        raise ValueError(f'{owner}: cannot treat label {name!r}, which is of kind {kind}')
    return kind


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


def pad_sample(
    results: dict[str, Any], pad: Sequence[int], img_fill: float | Sequence[float]
) -> dict[str, Any]:
    """Pad the image with ``img_fill`` and each label with unlabelled pixels."""
    return dict(
        results,
        img=pad_array(results['img'], pad, img_fill),
        labels=map_labels(results, lambda kind, array: kind.pad(array, pad)),
    )
