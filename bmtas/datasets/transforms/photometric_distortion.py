"""Random changes of brightness, contrast, saturation and hue."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from bmtas.registry import TRANSFORMS
from bmtas.typed import Natural, NonNegative


def _linear(img: np.ndarray, factor: float = 1.0, offset: float = 0.0) -> np.ndarray:
    table = np.clip(np.arange(256) * factor + offset, 0, 255).astype(np.uint8)
    return cv2.LUT(img, table)


@TRANSFORMS.register_module()
class PhotoMetricDistortion:
    """Distort the colours of a uint8 RGB image as SSD does (Liu et al., ECCV 2016).

    Each step happens with probability one half: brightness, contrast (before or after the next
    two, at random), saturation, hue. Labels are untouched.

    Args:
        brightness: Largest offset, of 255.
        contrast: (lowest, highest) factor.
        saturation: (lowest, highest) factor.
        hue: Largest shift in degrees of OpenCV's half circle (180 is the whole circle).
    """

    def __init__(
        self,
        brightness: NonNegative = 32,
        contrast: tuple[NonNegative, NonNegative] = (0.5, 1.5),
        saturation: tuple[NonNegative, NonNegative] = (0.5, 1.5),
        hue: Natural = 18,
    ) -> None:
        self.brightness = brightness
        self.contrast = tuple(contrast)
        self.saturation = tuple(saturation)
        self.hue = hue

    def _colour(self, img: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        change_saturation, change_hue = rng.random() < 0.5, rng.random() < 0.5
        factor = rng.uniform(*self.saturation)
        shift = int(rng.integers(-self.hue, self.hue + 1))
        if not (change_saturation or change_hue):
            return img
        hue, saturation, value = cv2.split(cv2.cvtColor(img, cv2.COLOR_RGB2HSV))
        if change_saturation:
            saturation = _linear(saturation, factor)
        if change_hue:
            hue = ((hue.astype(np.int16) + shift) % 180).astype(np.uint8)
        return cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2RGB)

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        img = results['img']
        if img.dtype != np.uint8:
            raise ValueError('PhotoMetricDistortion needs a uint8 image: put it before padding')
        img = np.ascontiguousarray(img)
        if rng.random() < 0.5:
            img = _linear(img, offset=rng.uniform(-self.brightness, self.brightness))
        contrast_first, change_contrast = rng.random() < 0.5, rng.random() < 0.5
        factor = rng.uniform(*self.contrast)
        if change_contrast and contrast_first:
            img = _linear(img, factor)
        img = self._colour(img, rng)
        if change_contrast and not contrast_first:
            img = _linear(img, factor)
        return dict(results, img=img)
