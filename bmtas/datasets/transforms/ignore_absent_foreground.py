"""Ignore label maps that show nothing but background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bmtas.kinds import Classes, Mask
from bmtas.registry import TRANSFORMS

from .common import label_kind


@TRANSFORMS.register_module()
class IgnoreAbsentForeground:
    """Where a label map holds only background (0) and ignored pixels, ignore all of it.

    For human parts: an image without a person has an all-zero map, which would teach nothing but
    background; so does a crop beside the person. Loss and metric then skip the image.

    Args:
        labels: Keys of the label maps to treat, of kind classes or mask.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        labels = dict(results['labels'])
        for name in self.labels:
            array = labels.get(name)
            if array is None:
                continue
            kind = label_kind(results, name, (Classes, Mask), 'IgnoreAbsentForeground')
            if not ((array != 0) & kind.labelled(array)).any():
                labels[name] = np.full_like(array, kind.ignored)
        return dict(results, labels=labels)
