"""Pad samples to a size, as at test time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bmtas.registry import TRANSFORMS

from .common import IMG_FILL, centred_padding, pad_sample, to_pair


@TRANSFORMS.register_module()
class PadTo:
    """Pad around the centre to at least ``size``; nothing is ever cut off.

    ``results['pad']`` = (top, bottom, left, right) travels with the sample, so that predictions
    can be cropped back (``Kind.unpad``). Labels are padded too, with unlabelled pixels: they keep
    the size of the predictions and padding never counts.

    Args:
        size: Least height and width, or one number for both.
        img_fill: Value of padded image pixels, a number or one per channel.
    """

    def __init__(
        self, size: int | Sequence[int], img_fill: float | Sequence[float] = IMG_FILL
    ) -> None:
        self.size = to_pair(size, 'PadTo')
        self.img_fill = img_fill

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        pad = centred_padding(results['img'].shape[:2], self.size)
        return dict(pad_sample(results, pad, self.img_fill), pad=pad)
