"""The class of the whole image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bmtas.registry import KINDS

from .base import Draw, to_array
from .image import ImageKind
from .values import ClassIds, as_numbers

UNLABELLED = -1


@KINDS.register_module(name='category')
@dataclass(frozen=True)
class Category(ClassIds, ImageKind):
    """One class id for the image, an int64 scalar, -1 without label; an attribute has two classes.

    Predictions are probabilities (C,).

    Args:
        num_classes, ignore, offset, remap: See ``ClassIds``; 255 is an ordinary id.
    """

    name: ClassVar[str] = 'category'
    loss: ClassVar[Mapping[str, Any]] = dict(type='CategoryLoss')
    metric: ClassVar[Mapping[str, Any]] = dict(type='CategoryScores')

    ignore: int | Sequence[int] | None = UNLABELLED

    @property
    def ignored(self) -> int:
        """The id that stands for "no label"."""
        return UNLABELLED

    def decode(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """The id, a scalar of int64."""
        raw = np.asarray(raw)
        if raw.size != 1:
            raise ValueError(f'{path}: a category is one number, this is {raw.shape}')
        ignore = as_numbers(self.ignore, 'ignore')
        return self.ids_of(raw.reshape(1), ignore, path, np.int64).reshape(())

    def to_tensor(self, array: np.ndarray) -> Tensor:
        # many tasks have many labels: no way over a Python number
        return torch.from_numpy(np.array(array, np.int64))

    def blank(self, size: Sequence[int]) -> Tensor:
        return torch.tensor(UNLABELLED)

    def activate(self, logits: Tensor) -> Tensor:
        return F.softmax(pooled(logits).float(), dim=1)

    def prediction_shape(self, label: Tensor) -> tuple[int, ...]:
        return (self.num_classes,)

    def error(self, prediction: Tensor, label: Tensor) -> float:
        """1 - probability of the right class."""
        return 1 - float(prediction[int(label)]) if self.labelled(label) else math.nan

    def label_sums(self, label: Tensor) -> Tensor:
        """Images of each class."""
        sums = torch.zeros(self.num_classes, dtype=torch.float64)
        if self.labelled(label):
            sums[int(label)] = 1
        return sums

    def constants(self, sums: Tensor) -> list[Tensor]:
        """The frequencies of the classes; of two classes also the rarer one.

        F1 of an attribute can be better where everything is called positive.
        """
        found = [(sums / sums.sum()).float()]
        if self.num_classes == 2:
            found.append(found[0].flip(0))
        return found

    def caption(self, values: Any, draw: Draw) -> str:
        """Name of the class, of a prediction with its probability."""
        values = to_array(values)
        if values.ndim == 0:
            return self._name(int(values), draw) if values != UNLABELLED else 'no label'
        best = int(values.argmax())
        return f'{self._name(best, draw)}\n{100 * float(values[best]):.0f} %'

    def is_wrong(self, prediction: Tensor, label: Tensor) -> bool:
        return bool(self.labelled(label)) and int(prediction.argmax()) != int(label)

    def _name(self, index: int, draw: Draw) -> str:
        names = draw.get('names') or ()
        if index < len(names):
            return str(names[index])
        return ('no', 'yes')[index] if self.num_classes == 2 else str(index)

    def columns(self, prediction: Tensor, draw: Draw) -> dict[str, Any]:
        """Id, name of the class and its probability."""
        best = int(prediction.argmax())
        return {
            '': best,
            '_name': self._name(best, draw),
            '_probability': round(float(prediction[best]), 4),
        }


def pooled(logits: Tensor) -> Tensor:
    """Logits of the image (N, C); a head that gives maps (N, C, h, w) is averaged."""
    return logits.mean(dim=(2, 3)) if logits.ndim == 4 else logits
