"""Rotate and zoom a sample about its centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from bmtas.kinds import warp
from bmtas.registry import TRANSFORMS

from .common import IMG_FILL, map_labels
from .random_scale import ScaleChoice


@TRANSFORMS.register_module()
class RandomAffine:
    """Rotate by a random angle and zoom by a random factor about the centre; the size stays.

    The augmentation of ASTMT (Maninis et al., CVPR 2019) and of later code bases that follow it.
    The image is interpolated bicubically, labels take the nearest pixel, pixels from outside are
    ignored. Normals turn with the image in its plane, depth is divided by the factor.

    Args:
        angle: Largest rotation in degrees, either way.
        scales: Factors to choose from.
        scale_range: (lowest, highest) of a uniform draw, instead of ``scales``.
        img_fill: Value of image pixels from outside, a number or one per channel.
    """

    def __init__(
        self,
        angle: float = 0.0,
        scales: Sequence[float] | None = None,
        scale_range: Sequence[float] | None = None,
        img_fill: float | Sequence[float] = IMG_FILL,
    ) -> None:
        if angle < 0:
            raise ValueError(f'RandomAffine: angle must not be negative, got {angle}')
        self.angle = angle
        self.choice = ScaleChoice(scales, scale_range, 'RandomAffine')
        self.img_fill = img_fill

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        angle = float(rng.uniform(-self.angle, self.angle))
        scale = self.choice.draw(rng)
        if angle == 0 and scale == 1:
            return results
        height, width = results['img'].shape[:2]
        centre = ((width - 1) / 2, (height - 1) / 2)
        matrix = cv2.getRotationMatrix2D(centre, angle, scale)
        labels = map_labels(
            results, lambda kind, array: kind.rotate(array, matrix, angle, zoom=scale)
        )
        img = warp(results['img'], matrix, cv2.INTER_CUBIC, self.img_fill)
        return dict(results, img=img, labels=labels)
