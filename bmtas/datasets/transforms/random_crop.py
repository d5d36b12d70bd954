"""Cut a window of fixed size out of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bmtas.kinds import Classes
from bmtas.registry import TRANSFORMS

from .common import IMG_FILL, centred_padding, label_kind, map_labels, pad_sample, to_pair


@TRANSFORMS.register_module()
class RandomCrop:
    """Cut a random window; a sample smaller than the window is padded around its centre first.

    Padding is floor(delta/2) at the top and left and the rest at the bottom and right. Padded
    label pixels have no label.

    Args:
        size: Height and width of the window, or one number for both.
        cat_max_ratio: Highest share of one class among the labelled pixels of the window. A window
            that exceeds it is drawn again, up to ten times. 1 switches this off.
        ratio_label: Key of the label map of kind classes that ``cat_max_ratio`` looks at.
        pad: Whether to pad; if not, a smaller sample stays smaller (pad later with ``PadTo``).
        img_fill: Value of padded image pixels, a number or one per channel.
    """

    TRIES = 10

    def __init__(
        self,
        size: int | Sequence[int],
        cat_max_ratio: float = 1.0,
        ratio_label: str = 'semseg',
        pad: bool = True,
        img_fill: float | Sequence[float] = IMG_FILL,
    ) -> None:
        if not 0 < cat_max_ratio <= 1:
            raise ValueError(f'RandomCrop: cat_max_ratio must be in (0, 1], got {cat_max_ratio}')
        self.size = to_pair(size, 'RandomCrop')
        self.cat_max_ratio = cat_max_ratio
        self.ratio_label = ratio_label
        self.pad = pad
        self.img_fill = img_fill

    def _draw(self, shape: Sequence[int], rng: np.random.Generator) -> tuple[slice, slice]:
        # cropping what is too long and padding what is too short do not touch each other, so the
        # cut comes first and only the window is copied
        starts = [
            int(rng.integers(max(have - want, 0) + 1)) for have, want in zip(shape, self.size)
        ]
        return tuple(slice(start, start + want) for start, want in zip(starts, self.size))

    def _balanced(self, results: dict[str, Any], window: tuple[slice, slice]) -> bool:
        label = results['labels'][self.ratio_label][window]
        valid = label_kind(results, self.ratio_label, Classes, 'RandomCrop').labelled(label)
        counts = np.unique(label[valid], return_counts=True)[1]
        return len(counts) > 1 and counts.max() < self.cat_max_ratio * counts.sum()

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        shape = results['img'].shape[:2]
        window = self._draw(shape, rng)
        if self.cat_max_ratio < 1 and self.ratio_label in results['labels']:
            for _ in range(self.TRIES):
                if self._balanced(results, window):
                    break
                window = self._draw(shape, rng)
        results = dict(
            results,
            img=results['img'][window],
            labels=map_labels(results, lambda kind, array: kind.crop(array, window)),
        )
        if not self.pad:
            return results
        pad = centred_padding(results['img'].shape[:2], self.size)
        return pad_sample(results, pad, self.img_fill)
