"""Mirror a sample left to right."""

from __future__ import annotations

from typing import Any

import numpy as np

from bmtas.registry import TRANSFORMS

from .common import map_labels


def _flip_label(array: np.ndarray, kind: str) -> np.ndarray:
    array = array[:, ::-1]
    if kind == 'normals':
        return array * np.array([-1, 1, 1], array.dtype)
    return array


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
        return dict(results, img=results['img'][:, ::-1], labels=map_labels(results, _flip_label))
