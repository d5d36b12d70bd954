"""Scale a sample by a random factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np

from bmtas.registry import TRANSFORMS

from .common import map_labels


class ScaleChoice:
    """Draws a factor from a list, or uniformly from a range.

    Args:
        scales: Factors to choose from, e.g. ``[0.5, 0.75, 1.0]``.
        scale_range: (lowest, highest) of a uniform draw. Exactly one of the two is given.
        owner: Name for error messages.

    Raises:
        ValueError: None or both given, or a factor that is not positive.
    """

    def __init__(
        self, scales: Sequence[float] | None, scale_range: Sequence[float] | None, owner: str
    ) -> None:
        if (scales is None) == (scale_range is None):
            raise ValueError(f'{owner}: give either scales (a list) or scale_range (two numbers)')
        values = tuple(scales if scales is not None else scale_range)
        if not values or min(values) <= 0 or (scale_range is not None and len(values) != 2):
            raise ValueError(f'{owner}: scale factors must be positive, got {list(values)}')
        self.values = values
        self.continuous = scale_range is not None

    def draw(self, rng: np.random.Generator) -> float:
        """One factor."""
        if self.continuous:
            return float(rng.uniform(*self.values))
        return float(self.values[rng.integers(len(self.values))])


@TRANSFORMS.register_module()
class RandomScale:
    """Zoom by a random factor s: the new size is ``int(dim * s)``, depth is divided by s.

    The image is interpolated bilinearly, labels (normals and depth included) take the nearest
    pixel. A zoom by s shows the scene as from 1/s of the distance, hence the division
    (Bruggemann et al., BMVC 2020, appendix A: factors 0.5 to 2.0 in steps of 0.25).

    Args:
        scales: Factors to choose from.
        scale_range: (lowest, highest) of a uniform draw, instead of ``scales``.
    """

    def __init__(
        self,
        scales: Sequence[float] | None = None,
        scale_range: Sequence[float] | None = None,
    ) -> None:
        self.choice = ScaleChoice(scales, scale_range, 'RandomScale')

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        scale = self.choice.draw(rng)
        if scale == 1:
            return results
        size = tuple(max(int(dim * scale), 1) for dim in results['img'].shape[:2])
        img = mmcv.imresize(results['img'], size[::-1])
        labels = map_labels(results, lambda kind, array: kind.resize(array, size, zoom=scale))
        return dict(results, img=img, labels=labels)
