"""Metric depth."""

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

from .base import Draw, as_float, to_array
from .colours import NO_LABEL, ramp
from .maps import MapKind, one_channel
from .values import as_numbers

FARTHEST = 1000.0
"""Depths beyond this many metres point to a wrong scale."""
FILE_UNIT = 0.001
"""Metres per unit of the files that are written."""


@KINDS.register_module(name='depth')
@dataclass(frozen=True)
class Depth(MapKind):
    """Metres for every pixel, float32 (H, W) > 0; 0 has no measurement.

    Args:
        scale: Metres per unit of the file, 0.001 for millimetres.
        invalid: Value or values of the file that mean "no measurement". By default 0 and, in
            files of unsigned integers, the largest value.
        nan_invalid: Whether NaN, infinite and negative values mean that too. If not, they are
            errors.
    """

    name: ClassVar[str] = 'depth'
    loss: ClassVar[Mapping[str, Any]] = dict(type='DepthL1Loss')
    metric: ClassVar[Mapping[str, Any]] = dict(type='DepthError')

    scale: float = 1.0
    invalid: int | Sequence[int] | None = None
    nan_invalid: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise ValueError(f'scale must be positive, got {self.scale}')
        as_numbers(self.invalid, 'invalid')

    @property
    def channels(self) -> int:
        return 1

    def decode(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """(H, W) float32."""
        raw = one_channel(raw, path, 'a depth map')
        depth = raw.astype(np.float32) * np.float32(self.scale)
        marks = as_numbers(self.invalid, 'invalid')
        unsigned = np.issubdtype(raw.dtype, np.unsignedinteger)
        if self.invalid is None and unsigned:
            marks = (np.iinfo(raw.dtype).max,)
        for mark in marks:
            if mark:
                depth[raw == mark] = 0
        if unsigned:
            return depth
        wrong = ~(np.isfinite(depth) & (depth >= 0))
        if wrong.any():
            if not self.nan_invalid:
                raise ValueError(
                    f'{path}: {int(wrong.sum())} depths are NaN, infinite or negative; '
                    'set nan_invalid=True on the label if that means "no measurement"'
                )
            depth[wrong] = 0
        return depth

    def zoomed(self, array: np.ndarray, zoom: float) -> np.ndarray:
        return array / np.float32(zoom)

    def to_tensor(self, array: np.ndarray) -> Tensor:
        return as_float(array)

    def labelled(self, label: Tensor | np.ndarray) -> Any:
        return label > 0

    def blank(self, size: Sequence[int]) -> Tensor:
        return torch.zeros(tuple(size))

    def activate(self, logits: Tensor) -> Tensor:
        return logits[:, 0].float()

    def error(self, prediction: Tensor, label: Tensor) -> float:
        """Root of the mean squared error."""
        valid = self.labelled(label)
        if not valid.any():
            return math.nan
        return (prediction - label)[valid].square().mean().sqrt().item()

    def label_sums(self, label: Tensor) -> Tensor:
        """Sum and number of pixels."""
        valid = self.labelled(label)
        return torch.stack([label[valid].double().sum(), valid.sum()])

    def constants(self, sums: Tensor) -> list[Tensor]:
        """The mean, which minimises the root of the mean squared error."""
        return [(sums[0] / sums[1]).float()]

    def suspicion(self, low: float, high: float, split: bool) -> str:
        far = not split and high > FARTHEST
        return f'depth up to {high:g} m, is the scale right?' if far else ''

    def limits(self, maps: Sequence[Any]) -> tuple[float, float]:
        """2nd and 98th percentile of all measured depths."""
        valid = [array[np.isfinite(array) & (array > 0)] for array in map(to_array, maps)]
        values = np.concatenate([v.ravel() for v in valid]) if valid else np.zeros(0)
        if not values.size:
            return 0.0, 1.0
        low, high = np.percentile(values, [2, 98])
        return float(low), float(max(high, low + 1e-6))

    def colours(
        self, values: Any, draw: Draw, limits: tuple[float, float] | None = None
    ) -> np.ndarray:
        """From near (light) to far (dark)."""
        values = to_array(values)
        low, high = limits or self.limits([values])
        invalid = ~(np.isfinite(values) & (values > 0))
        scaled = np.clip((np.where(invalid, low, values) - low) / (high - low), 0, 1)
        out = ramp('viridis_r', scaled)
        out[invalid] = NO_LABEL
        return out

    def to_file(self, prediction: Tensor) -> np.ndarray:
        """Millimetres, uint16; read it with ``scale=0.001``."""
        # the largest value would mean "no measurement"
        return np.round(np.clip(prediction.numpy() / FILE_UNIT, 0, 65534)).astype(np.uint16)
