"""Surface normals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bmtas.registry import KINDS

from .base import Draw, to_array
from .colours import NO_LABEL
from .maps import MapKind

_BYTE_TO_UNIT = (np.arange(256) / 127.5 - 1).astype(np.float32)
_GREY = {'uint8': 3.5 / 255**2, 'uint16': 3.5 / 65535**2}
"""By type of a file, the largest squared length of grey: 1/255 (1/65535) in every channel."""
_UNIT = 0.8, 1.2
"""Squared lengths that count as one: 0.9 to 1.1."""


@KINDS.register_module(name='normals')
@dataclass(frozen=True)
class Normals(MapKind):
    """Unit vectors (3, H, W) float32, x right, y down, z forward; all zeros have no label.

    8-bit values of a file decode to v / 127.5 - 1, 16-bit values to v / 32767.5 - 1, floats are
    taken as they are. Vectors are brought to length one. "No normal" is (0, 0, 0) in the file,
    and where zero is not in the middle also grey: the two middle values, in all channels.

    Args:
        flip: Signs (x, y, z) that turn the file's axes into those above.
        invalid: Further vectors (three values of the file) that mean "no normal".
        unit_range: Whether floats lie in [0, 1] and decode to 2 v - 1.
    """

    name: ClassVar[str] = 'normals'
    loss: ClassVar[Mapping[str, Any]] = dict(type='NormalsL1Loss')
    metric: ClassVar[Mapping[str, Any]] = dict(type='NormalsError')

    flip: Sequence[int] = (1, 1, 1)
    invalid: Sequence[Sequence[float]] = ()
    unit_range: bool = False

    def __post_init__(self) -> None:
        if len(self.flip) != 3 or any(sign not in (1, -1) for sign in self.flip):
            raise ValueError(f'flip must be three signs, 1 or -1, got {self.flip!r}')
        if any(len(mark) != 3 for mark in self.invalid):
            raise ValueError(f'invalid must be a list of vectors, got {self.invalid!r}')

    @property
    def channels(self) -> int:
        return 3

    def decode(self, raw: np.ndarray, path: Path, valid: np.ndarray | None = None) -> np.ndarray:
        """Unit vectors (H, W, 3) float32.

        Args:
            raw: Values of the file (H, W, 3).
            path: For messages.
            valid: Mask (H, W) of the pixels to keep; all by default.

        Raises:
            ValueError: Another shape, values that are not finite, or vectors most of which are
                far from length one.
        """
        if raw.ndim != 3 or raw.shape[2] != 3:
            raise ValueError(f'{path}: normals must be (H, W, 3), this is {raw.shape}')
        normals = self._vectors(raw, path)
        # one factor per pixel makes the length one and invalid vectors zero in a single pass
        squared = cv2.transform(cv2.multiply(normals, normals), np.ones((1, 3), np.float32))
        unit = cv2.countNonZero(cv2.inRange(squared, *_UNIT))
        factor = 1 / np.sqrt(np.maximum(squared, np.float32(1e-12)))
        if unit < squared.size or self.invalid:
            marked = self._marked(raw, squared)
            _check_lengths(raw, unit, squared.size - np.count_nonzero(marked), path)
            factor[marked] = 0
        if valid is not None:
            factor *= valid
        normals *= factor[..., None]
        if tuple(self.flip) != (1, 1, 1):
            normals *= np.asarray(self.flip, np.float32)
        return normals

    def _vectors(self, raw: np.ndarray, path: Path) -> np.ndarray:
        if raw.dtype == np.uint8:
            return cv2.LUT(raw, _BYTE_TO_UNIT)
        if raw.dtype == np.uint16:
            return raw.astype(np.float32) / np.float32(32767.5) - 1
        if raw.dtype.kind != 'f':
            raise ValueError(f'{path}: normals are {raw.dtype}; write bytes, uint16 or floats')
        normals = raw.astype(np.float32)
        if not np.isfinite(normals).all():
            raise ValueError(f'{path}: normals are NaN or infinite')
        return 2 * normals - 1 if self.unit_range else normals

    def _marked(self, raw: np.ndarray, squared: np.ndarray) -> np.ndarray:
        """Where the file says that there is no normal, (H, W) bool; from the squared lengths.

        The middle values are 1/255 (1/65535) off zero, those next to them three times as much;
        zeros decode to a corner of the cube.
        """
        grey = _GREY.get(raw.dtype.name, _GREY['uint8'] if self.unit_range else 0.0)
        marked = squared <= grey
        if grey:
            rows, columns = np.nonzero(squared > 2.9)
            marked[rows, columns] = ~raw[rows, columns].any(-1)
        for mark in self.invalid:
            marked |= (raw == np.asarray(mark)).all(-1)
        return marked

    def mirrored(self, array: np.ndarray) -> np.ndarray:
        np.negative(array[..., 0], out=array[..., 0])
        return array

    def turned(self, array: np.ndarray, angle: float) -> np.ndarray:
        # counter-clockwise as seen on the screen, y points down
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], array.dtype)
        return array @ turn.T

    def to_tensor(self, array: np.ndarray) -> Tensor:
        planes = np.empty((3, *array.shape[:2]), np.float32)
        cv2.split(np.ascontiguousarray(array, np.float32), list(planes))
        return torch.from_numpy(planes)

    def labelled(self, label: Tensor | np.ndarray) -> Any:
        return (label != 0).any(-1 if isinstance(label, np.ndarray) else -3)

    def blank(self, size: Sequence[int]) -> Tensor:
        return torch.zeros(3, *size)

    def activate(self, logits: Tensor) -> Tensor:
        return unit_vectors(logits.float(), eps=1e-12)

    def error(self, prediction: Tensor, label: Tensor) -> float:
        """Mean angle in degrees."""
        valid = self.labelled(label)
        if not valid.any():
            return math.nan
        cosine = (prediction * label).sum(0)[valid].clamp(-1, 1)
        return torch.rad2deg(torch.acos(cosine)).mean().item()

    def label_sums(self, label: Tensor) -> Tensor:
        """Sums of x, y, z and number of pixels."""
        valid = self.labelled(label)
        return torch.cat([label[:, valid].double().sum(1), valid.sum()[None]])

    def constants(self, sums: Tensor) -> list[Tensor]:
        """The direction of the mean vector, which minimises the mean squared chord."""
        return [F.normalize((sums[:-1] / sums[-1]).float(), dim=0)]

    def expand(self, constant: Tensor, label: Tensor) -> Tensor:
        return constant[:, None, None].expand(label.shape)

    def compared(self, array: np.ndarray) -> np.ndarray:
        return array[..., 2]

    def colours(
        self, values: Any, draw: Draw, limits: tuple[float, float] | None = None
    ) -> np.ndarray:
        """(x, -y, -z) as red, green, blue: what faces the camera is bluish."""
        values = to_array(values)
        out = np.stack([values[0], -values[1], -values[2]], -1)
        out = np.round(127.5 + 127.5 * np.clip(out, -1, 1)).astype(np.uint8)
        out[~(values != 0).any(0)] = NO_LABEL
        return out

    def to_file(self, prediction: Tensor) -> np.ndarray:
        """127.5 + 127.5 times the vector, uint8."""
        values = prediction.float().numpy().transpose(1, 2, 0)
        return np.round(127.5 + 127.5 * values).clip(0, 255).astype(np.uint8)


def unit_vectors(vectors: Tensor, eps: float = 1e-4) -> Tensor:
    """Scale (N, 3, H, W) to unit length; smooth at zero, so that gradients stay finite."""
    squared = vectors.square().sum(dim=1, keepdim=True)
    return vectors * torch.rsqrt(squared + eps**2)


def _check_lengths(raw: np.ndarray, unit: int, count: int, path: Path) -> None:
    """Refuse vectors most of which are not of unit length: they mean something else.

    Single vectors may be shorter, where an image was resized or compressed. Floats that are
    never negative count as far off sooner: they are likely to be (n + 1) / 2.
    """
    off = count - unit
    folded = off > 0 and raw.dtype.kind == 'f' and raw.min() >= 0 and raw.max() <= 1
    if off > (0.01 if folded else 0.5) * count:
        hint = 'name their mark for "no normal" with invalid='
        if folded:
            hint = 'set unit_range=True on the label if they mean 2 v - 1'
        raise ValueError(
            f'{path}: {off} of {count} normals are far from length one; {hint}, or write unit '
            'vectors'
        )
