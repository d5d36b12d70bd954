"""Multiply-adds and parameters of a multi-resolution network in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .codes import LENGTH, REPEATS, STAGES, NetworkCode

HEADS = ('segmentation', 'classification')
CONVENTIONS: Mapping[str, Mapping[str, int]] = {
    'mac': {'conv': 1},
    'thop': {'conv': 1, 'norm': 4, 'upsample': 1},
    'record': {'conv': 1, 'norm': 2, 'bias': 1},
}
"""What one unit of each tally weighs.

``mac``: multiply-accumulates of the convolutions. ``thop``: these, four per input element of a
batch norm, one per output element of an upsampling. ``record``: the rule that reproduces the flops
of the benchmark, two per input element of a batch norm and one per bias of the classifier.
"""


def branch_sizes(input_size: Sequence[int], input_stride: int = 4) -> list[tuple[int, int]]:
    """Heights and widths: image, after each stem convolution, and of the branches 0..3.

    Every stride-2 step is a 3x3 convolution with padding 1, which rounds up.
    """
    sizes = [(int(input_size[0]), int(input_size[1]))]
    strides = stem_strides(input_stride) + (1, 2, 2, 2)
    for stride in strides:
        sizes.append(tuple(-(-side // stride) for side in sizes[-1]))
    return sizes


def stem_strides(input_stride: int) -> tuple[int, int]:
    """Strides of the two stem convolutions for a first branch at this stride.

    Raises:
        ValueError: The stride is not 1, 2 or 4.
    """
    strides = {4: (2, 2), 2: (2, 1), 1: (1, 1)}
    if input_stride not in strides:
        raise ValueError(f'input_stride {input_stride} is none of {sorted(strides)}')
    return strides[input_stride]


class _Tally:
    """Running sums over the layers of a network: conv, norm, upsample, bias, params."""

    def __init__(self) -> None:
        self.sums: dict[str, Any] = dict.fromkeys(('conv', 'norm', 'upsample', 'bias', 'params'), 0)

    def conv(self, c_in: Any, c_out: Any, kernel: int, pixels: int, times: Any = 1) -> None:
        """Add a bias-free convolution with batch norm, ``times`` over."""
        weights = c_in * c_out * kernel**2 * times
        self.sums['conv'] = self.sums['conv'] + weights * pixels
        self.sums['norm'] = self.sums['norm'] + c_out * pixels * times
        self.sums['params'] = self.sums['params'] + weights + 2 * c_out * times

    def fuse(self, c_in: list, c_out: list, sizes: list[tuple[int, int]], times: Any = 1) -> None:
        """Add the exchange between neighbouring branches, and the new branch if there is one."""
        old, pixels = len(c_in), [h * w for h, w in sizes]
        for i in range(old):
            if i:
                self.conv(c_in[i - 1], c_out[i], 3, pixels[i], times)
            self.conv(c_in[i], c_out[i], 3, pixels[i], times)
            if i + 1 < old:
                self.conv(c_in[i + 1], c_out[i], 1, pixels[i + 1], times)
                upsampled = c_out[i] * (4 * pixels[i + 1]) * times
                self.sums['upsample'] = self.sums['upsample'] + upsampled
        if len(c_out) > old:
            self.conv(c_out[old - 1], c_out[old], 3, pixels[old], times)

    def head(self, c_in: list, width: Any, classes: int, pixels: int, outputs: int) -> None:
        """Add the fusing 1x1 layer and the classifier at ``outputs`` positions."""
        self.conv(sum(c_in), width, 1, pixels)
        self.sums['conv'] = self.sums['conv'] + width * classes * outputs
        self.sums['bias'] = self.sums['bias'] + classes * outputs
        self.sums['params'] = self.sums['params'] + width * classes + classes


@dataclass(frozen=True)
class CostModel:
    """Cost of codes under one convention.

    Args:
        input_size: Height and width of the image.
        head: ``segmentation`` (fused and classified at the first branch's resolution) or
            ``classification`` (fused at the last branch's, pooled, classified once).
        classes: Outputs of the classifier.
        convention: Key of ``CONVENTIONS``.
        input_stride: Stride of the first branch, 4, 2 or 1.

    The methods take one code or codes of shape (..., 27): NetworkCode, integers (exact int64
    results) or a floating tensor (differentiable, codes need not be integers).
    """

    input_size: tuple[int, int] = (128, 128)
    head: str = 'classification'
    classes: int = 50
    convention: str = 'mac'
    input_stride: int = 4

    def __post_init__(self) -> None:
        if self.convention not in CONVENTIONS:
            raise ValueError(f'cost: convention {self.convention!r}, choose from {[*CONVENTIONS]}')
        if self.head not in HEADS:
            raise ValueError(f'cost: head {self.head!r}, choose from {list(HEADS)}')
        if self.classes < 1 or len(self.input_size) != 2 or min(self.input_size) < 1:
            raise ValueError(f'cost: input_size {self.input_size}, classes {self.classes}')
        object.__setattr__(self, 'input_size', tuple(int(side) for side in self.input_size))
        stem_strides(self.input_stride)

    def tally(self, codes: Any) -> dict[str, Any]:
        """Sums by kind: ``conv`` multiply-accumulates, ``norm`` input elements, ``upsample``
        output elements, ``bias`` additions, ``params``; each of the shape (...)."""
        columns = _columns(codes)
        sizes = branch_sizes(self.input_size, self.input_stride)
        stem, sizes = sizes[1:3], sizes[3:]
        tally = _Tally()
        tally.conv(3, columns[0], 3, stem[0][0] * stem[0][1])
        tally.conv(columns[0], columns[1], 3, stem[1][0] * stem[1][1])
        before = [columns[1]]
        for stage, start in enumerate(REPEATS, start=1):
            repeats, middle = columns[start], start + 1 + stage
            units, channels = columns[start + 1 : middle], columns[middle : middle + stage]
            tally.fuse(before, channels, sizes)
            tally.fuse(channels, channels, sizes, repeats - 1)
            for n, c, (height, width) in zip(units, channels, sizes):
                tally.conv(c, c, 3, height * width, 2 * n * repeats)
            before = channels
        height, width = sizes[0] if self.head == 'segmentation' else sizes[STAGES - 1]
        outputs = height * width if self.head == 'segmentation' else 1
        tally.head(before, columns[-1], self.classes, height * width, outputs)
        return tally.sums

    def madds(self, codes: Any) -> Any:
        """Multiply-adds under the convention, shape (...)."""
        return self._weigh(self.tally(codes))

    def params(self, codes: Any) -> Any:
        """Parameters with the head, shape (...)."""
        return self.tally(codes)['params']

    def both(self, codes: Any) -> tuple[Any, Any]:
        """Multiply-adds and parameters of one pass."""
        sums = self.tally(codes)
        return self._weigh(sums), sums['params']

    def _weigh(self, sums: Mapping[str, Any]) -> Any:
        return sum(weight * sums[kind] for kind, weight in CONVENTIONS[self.convention].items())


RECORD_COST = CostModel(convention='record')
"""The cost that the benchmark records: 128x128 pixels, 50 classes, whatever the setting."""


def _columns(codes: Any) -> list[Any]:
    """The 27 numbers, each of the shape of the batch."""
    if isinstance(codes, NetworkCode):
        codes = codes.array()
    if not torch.is_tensor(codes):
        codes = np.asarray(codes)
        codes = codes.astype(np.float64 if codes.dtype.kind == 'f' else np.int64)
    if codes.shape[-1:] != (LENGTH,):
        raise ValueError(f'codes of shape (..., {LENGTH}) expected, got {tuple(codes.shape)}')
    return [codes[..., position] for position in range(LENGTH)]
