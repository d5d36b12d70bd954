"""Bring samples to another resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np

from bmtas.kinds import Mask
from bmtas.registry import TRANSFORMS
from bmtas.thinning import thin

from .common import label_kind, to_pair

INTERPOLATIONS = {
    'area': dict(interpolation='area'),
    'bilinear': dict(interpolation='bilinear'),
    'cubic': dict(interpolation='bicubic'),
    # OpenCV's does not smooth where an image shrinks
    'lanczos': dict(interpolation='lanczos', backend='pillow'),
}
"""Arguments of ``mmcv.imresize``."""


def resize_lines(kind: Mask, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask (H, W) of thin lines without breaking them.

    A target pixel is 1 where any line pixel falls on it; the result is thinned again. Ignored
    pixels are those whose nearest source pixel is ignored and on which no line falls.
    """
    if mask.shape == size:
        return mask
    rows, columns = np.nonzero(mask == 1)
    lines = np.zeros(size, bool)
    lines[
        (2 * rows + 1) * size[0] // (2 * mask.shape[0]),
        (2 * columns + 1) * size[1] // (2 * mask.shape[1]),
    ] = True
    resized = thin(lines).astype(mask.dtype)
    resized[~kind.labelled(kind.resize(mask, size)) & ~lines] = kind.ignored
    return resized


@TRANSFORMS.register_module()
class Resize:
    """Change the resolution of a sample, e.g. to half of it for the architecture search.

    The image is resized with ``interpolation`` (antialiased where it shrinks, if 'area' or
    'lanczos'), labels take the nearest pixel. Depth is unchanged: another resolution of the
    same camera sees the same distances (unlike the zoom of ``RandomScale``).

    Args:
        factor: New size = floor(size * factor), as in the half-resolution search.
        size: New (H, W) instead, whatever the aspect of the input.
        interpolation: 'area', 'bilinear', 'cubic' or 'lanczos'.
        lines: Keys of labels that are thin lines (edges): a pixel is set where any line pixel
            of the source falls on it, and lines are thinned again. Nearest pixels would break
            them.
        labels: Whether to resize the labels too. If not, as at test time, the predictions are
            brought to the size of the labels (``results['predict_at']``) and compared there.
    """

    def __init__(
        self,
        factor: float | None = None,
        size: int | Sequence[int] | None = None,
        interpolation: str = 'area',
        lines: Sequence[str] = (),
        labels: bool = True,
    ) -> None:
        if (factor is None) == (size is None):
            raise ValueError('Resize: give either factor or size')
        if factor is not None and factor <= 0:
            raise ValueError(f'Resize: factor must be positive, got {factor}')
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f'Resize: unknown interpolation {interpolation!r}, choose from '
                f'{sorted(INTERPOLATIONS)}'
            )
        self.factor = factor
        self.size = None if size is None else to_pair(size, 'Resize')
        self.interpolation = interpolation
        self.lines = tuple(lines)
        self.labels = labels

    def _target(self, shape: Sequence[int]) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        # the small term keeps floor(480 * (2 / 3)) at 320
        return tuple(max(int(dim * self.factor + 1e-6), 1) for dim in shape)

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        size = self._target(results['img'].shape[:2])
        if size == results['img'].shape[:2]:
            return results
        img = mmcv.imresize(results['img'], size[::-1], **INTERPOLATIONS[self.interpolation])
        if not self.labels:
            return dict(results, img=img, predict_at=results['img'].shape[:2])
        labels = {}
        for name, array in results['labels'].items():
            if name in self.lines:
                kind = label_kind(results, name, Mask, 'Resize')
                labels[name] = resize_lines(kind, array, size)
            else:
                labels[name] = results['kinds'][name].resize(array, size)
        return dict(results, img=img, labels=labels)
