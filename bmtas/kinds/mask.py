"""Foreground and background."""

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
from .classes import iou
from .colours import NO_LABEL, ramp
from .maps import MapKind, one_channel
from .values import as_numbers, check_ids

IGNORED = 255
"""Value of pixels without a label."""


@KINDS.register_module(name='mask')
@dataclass(frozen=True)
class Mask(MapKind):
    """0 or 1 for every pixel, 255 without label, int64 (H, W); predictions are probabilities.

    Args:
        threshold: Foreground is where the file's value exceeds it.
        ignore: Value or values of the file that mean "no label".
    """

    name: ClassVar[str] = 'mask'
    loss: ClassVar[Mapping[str, Any]] = dict(type='BalancedBCELoss')
    metric: ClassVar[Mapping[str, Any]] = dict(type='SaliencyIoU')
    fill: ClassVar[float] = IGNORED

    threshold: float = 0.5
    ignore: int | Sequence[int] | None = None

    def __post_init__(self) -> None:
        as_numbers(self.ignore, 'ignore')

    @property
    def channels(self) -> int:
        return 1

    @property
    def ignored(self) -> int:
        """Value of pixels without a label."""
        return IGNORED

    def decode(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """(H, W) uint8.

        Raises:
            ValueError: NaN, a negative value that is not ignored, or ones beside 255, which may
                mean foreground or no label.
        """
        raw = one_channel(raw, path, 'a mask')
        if raw.dtype.kind == 'f' and np.isnan(raw).any():
            raise ValueError(f'{path}: {int(np.isnan(raw).sum())} values of the mask are NaN')
        mask = (raw > self.threshold).astype(np.uint8)
        for value in as_numbers(self.ignore, 'ignore'):
            mask[raw == value] = IGNORED
        if raw.dtype.kind in 'if' and (raw[mask != IGNORED] < 0).any():
            raise ValueError(
                f'{path}: the mask holds {raw[mask != IGNORED].min():g}; say ignore={raw.min():g} '
                'on the label if it means "no label"'
            )
        plain = self.ignore is None and self.threshold < 1 and raw.max() == IGNORED
        if plain and (raw == 1).any() and not ((raw > 1) & (raw < IGNORED)).any():
            raise ValueError(
                f'{path}: the mask holds 1 and {IGNORED}; say ignore={IGNORED} on the label if '
                f'{IGNORED} means "no label", threshold=127 if it means foreground'
            )
        return mask

    def to_tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.int64))

    def labelled(self, label: Tensor | np.ndarray) -> Any:
        return label != IGNORED

    def blank(self, size: Sequence[int]) -> Tensor:
        return torch.full(tuple(size), IGNORED)

    def check(self, label: Tensor, where: str) -> None:
        check_ids(label, 2, IGNORED, where)

    def activate(self, logits: Tensor) -> Tensor:
        return logits[:, 0].float().sigmoid()

    def error(self, prediction: Tensor, label: Tensor) -> float:
        """1 - IoU of the foreground at probability 0.5."""
        valid = self.labelled(label)
        if not valid.any():
            return math.nan
        return 1 - iou(prediction[valid] >= 0.5, label[valid] == 1)

    def label_sums(self, label: Tensor) -> Tensor:
        """Pixels of background and foreground."""
        return torch.bincount(label[self.labelled(label)], minlength=2).double()

    def constants(self, sums: Tensor) -> list[Tensor]:
        """The more frequent of the two, then the other: all others equal one of them."""
        first = sums.argmax().float()
        return [first, 1 - first]

    def suspicion(self, low: float, high: float, split: bool) -> str:
        return f'is {low:g} everywhere; check its threshold' if split and low == high else ''

    def colours(
        self, values: Any, draw: Draw, limits: tuple[float, float] | None = None
    ) -> np.ndarray:
        """From black to light."""
        values = to_array(values)
        invalid = values == IGNORED
        out = ramp('magma', np.where(invalid, 0, values))
        out[invalid] = NO_LABEL
        return out

    def to_file(self, prediction: Tensor) -> np.ndarray:
        """255 times the probability, uint8; read it with ``threshold=127``."""
        return np.round(255 * prediction.float().numpy()).astype(np.uint8)
