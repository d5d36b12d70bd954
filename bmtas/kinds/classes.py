"""Class maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bmtas.registry import KINDS

from .base import Draw, to_array
from .colours import NO_LABEL, class_colours
from .maps import MapKind, one_channel
from .values import ClassIds, as_numbers

SMALL = 255
"""Up to this number of classes, ids fit into a byte and 255 has no label."""


@KINDS.register_module(name='classes')
@dataclass(frozen=True)
class Classes(ClassIds, MapKind):
    """A class id for every pixel, int64 (H, W); predictions are ids too.

    Unlabelled pixels are 255, with more than 255 classes -1 (property ``ignored``).

    Args:
        num_classes, offset, remap: See ``ClassIds``.
        ignore: By default 255, and with more than 255 classes -1 and 65535; none where there is a
            ``remap``.
    """

    name: ClassVar[str] = 'classes'
    loss: ClassVar[Mapping[str, Any]] = dict(type='CrossEntropyLoss')
    metric: ClassVar[Mapping[str, Any]] = dict(type='MeanIoU')

    @property
    def ignored(self) -> int:
        """Id of pixels without a label."""
        return SMALL if self.num_classes <= SMALL else -1

    @property
    def outside(self) -> float:
        return self.ignored

    def decode(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Ids (H, W): uint8, int32 beyond 255 classes."""
        raw = one_channel(raw, path, 'a label map')
        ignore = as_numbers(self.ignore, 'ignore')
        if self.ignore is None and self.remap is None:
            ignore = (SMALL,) if self.num_classes <= SMALL else (-1, 65535)
        return self.ids_of(raw, ignore, path, np.uint8 if self.num_classes <= SMALL else np.int32)

    def to_tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.int64))

    def blank(self, size: Sequence[int]) -> Tensor:
        return torch.full(tuple(size), self.ignored)

    def activate(self, logits: Tensor) -> Tensor:
        return logits.argmax(dim=1)

    def error(self, prediction: Tensor, label: Tensor) -> float:
        """1 - mean IoU over the classes present."""
        valid = self.labelled(label)
        if not valid.any():
            return math.nan
        prediction, label = prediction[valid], label[valid]
        present = label.unique().tolist()
        return 1 - sum(iou(prediction == c, label == c) for c in present) / len(present)

    def label_sums(self, label: Tensor) -> Tensor:
        """Pixels of each class."""
        return torch.bincount(label[self.labelled(label)], minlength=self.num_classes).double()

    def constants(self, sums: Tensor) -> list[Tensor]:
        """The most frequent class."""
        return [sums.argmax()]

    def colours(
        self, values: Any, draw: Draw, limits: tuple[float, float] | None = None
    ) -> np.ndarray:
        """By the palette of ``draw``."""
        values = to_array(values)
        invalid = (values < 0) | (values >= self.num_classes)
        palette = class_colours(self.num_classes, draw.get('palette', 'bmtas'))
        out = palette[np.where(invalid, 0, values).astype(int)]
        out[invalid] = NO_LABEL
        return out

    def legend(self, draw: Draw) -> list[tuple[np.ndarray, str]]:
        if not draw.get('names'):
            return []
        palette = class_colours(self.num_classes, draw.get('palette', 'bmtas'))
        return [*zip(palette, map(str, draw['names'])), (NO_LABEL, 'no label')]

    def to_file(self, prediction: Tensor) -> np.ndarray:
        """Ids, uint8, uint16 beyond 256 classes."""
        return prediction.numpy().astype(np.uint8 if self.num_classes <= 256 else np.uint16)


def iou(prediction: Tensor, label: Tensor) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = (prediction | label).sum().item()
    return (prediction & label).sum().item() / union if union else 1.0
