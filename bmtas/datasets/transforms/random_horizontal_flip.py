"""Mirror a sample left to right."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from bmtas.registry import TRANSFORMS

from .common import map_labels


@TRANSFORMS.register_module()
class RandomHorizontalFlip:
    """Mirror image and labels with probability ``prob``; the x component of normals is negated.

    Args:
        prob: Probability in [0, 1].
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'RandomHorizontalFlip: prob must be in [0, 1], got {prob}')
        self.prob = prob

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        if rng.random() >= self.prob:
            return results
        labels = map_labels(results, lambda kind, array: kind.mirror(array))
        return dict(results, img=cv2.flip(results['img'], 1), labels=labels)
