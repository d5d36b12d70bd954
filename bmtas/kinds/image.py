"""Kinds with one value for the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from .base import Draw, Kind


@dataclass(frozen=True)
class ImageKind(Kind):
    """A label of the whole image: transforms leave it alone, logits are (N, C).

    Subclasses say what a prediction is called (``caption``) and what stands in the table of an
    inference (``columns``).
    """

    dense: ClassVar[bool] = False
    head: ClassVar[Mapping[str, Any]] = dict(type='PooledLinearHead')

    def mirror(self, array: np.ndarray) -> np.ndarray:
        return array

    def crop(self, array: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
        return array

    def pad(self, array: np.ndarray, pad: Sequence[int]) -> np.ndarray:
        return array

    def resize(self, array: np.ndarray, size: tuple[int, int], zoom: float = 1.0) -> np.ndarray:
        return array

    def rotate(
        self, array: np.ndarray, matrix: np.ndarray, angle: float, zoom: float
    ) -> np.ndarray:
        return array

    def resize_logits(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        return logits

    def unpad(self, values: Tensor, pad: Sequence[int] | None) -> Tensor:
        return values

    def caption(self, values: Any, draw: Draw) -> str:
        """A label or prediction in a few words."""
        raise NotImplementedError(f'kind {self} does not say how it is shown')

    def is_wrong(self, prediction: Tensor, label: Tensor) -> bool:
        """Whether a sheet marks a prediction; kinds without right and wrong mark none."""
        return False

    def columns(self, prediction: Tensor, draw: Draw) -> dict[str, Any]:
        """A prediction as entries of a table, by what is added to the task's name.

        The entry '' is what ``decode`` reads as a label.
        """
        raise NotImplementedError(f'kind {self} does not say how it is written')
