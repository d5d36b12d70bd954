"""Multiply-adds and parameters of a multi-resolution network in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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


KINDS = ('conv', 'norm', 'upsample', 'bias', 'params')
_ONE = LENGTH  # position of the constant 1 behind the code, then of repeats - 1 of each stage


class _Terms:
    """A cost as a sum of products of at most four of the code's numbers.

    A row of ``factors`` names the positions that are multiplied, the same row of ``weights`` by
    how much the product adds to each of ``KINDS``.
    """

    def __init__(self) -> None:
        self.factors: list[tuple[int, ...]] = []
        self.weights: list[tuple[int, ...]] = []

    def add(self, *factors: int, **weights: int) -> None:
        """Add one product."""
        self.factors.append(factors + (_ONE,) * (4 - len(factors)))
        self.weights.append(tuple(weights.get(kind, 0) for kind in KINDS))

    def conv(
        self, c_in: int, c_out: int, kernel: int, pixels: int, *times: int, scale: int = 1
    ) -> None:
        """Add a bias-free convolution, ``scale`` times the numbers at ``times``, without norm."""
        weights = kernel**2 * scale
        self.add(c_in, c_out, *times, conv=weights * pixels, params=weights)

    def norm(self, channels: int, pixels: int, *times: int, scale: int = 1) -> None:
        """Add a batch norm."""
        self.add(channels, *times, norm=pixels * scale, params=2 * scale)

    def layer(
        self, c_in: int, c_out: int, kernel: int, pixels: int, *times: int, scale: int = 1
    ) -> None:
        """Add a convolution and its batch norm."""
        self.conv(c_in, c_out, kernel, pixels, *times, scale=scale)
        self.norm(c_out, pixels, *times, scale=scale)

    def fuse(
        self, c_in: Sequence[int], c_out: Sequence[int], pixels: Sequence[int], *times: int
    ) -> None:
        """Add the exchange between neighbouring branches, and the new branch if there is one."""
        old = len(c_in)
        for i in range(old):
            if i:
                self.layer(c_in[i - 1], c_out[i], 3, pixels[i], *times)
            self.layer(c_in[i], c_out[i], 3, pixels[i], *times)
            if i + 1 < old:
                self.layer(c_in[i + 1], c_out[i], 1, pixels[i + 1], *times)
                self.add(c_out[i], *times, upsample=4 * pixels[i + 1])
        if len(c_out) > old:
            self.layer(c_out[old - 1], c_out[old], 3, pixels[old], *times)


@lru_cache(maxsize=64)
def _terms(
    input_size: tuple[int, int], head: str, classes: int, input_stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Factors (n, 4) and weights (n, kinds) of the network with its head."""
    pixels = [height * width for height, width in branch_sizes(input_size, input_stride)]
    stem, pixels = pixels[1:3], pixels[3:]
    terms = _Terms()
    terms.conv(_ONE, 0, 3, stem[0], scale=3)  # three input channels
    terms.norm(0, stem[0])
    terms.layer(0, 1, 3, stem[1])
    before: Sequence[int] = (1,)
    for stage, repeats in enumerate(REPEATS, start=1):
        units = range(repeats + 1, repeats + 1 + stage)
        channels = range(repeats + 1 + stage, repeats + 1 + 2 * stage)
        terms.fuse(before, channels, pixels)
        terms.fuse(channels, channels, pixels, _ONE + stage)  # repeats - 1
        for n, c, count in zip(units, channels, pixels):
            terms.layer(c, c, 3, count, n, repeats, scale=2)
        before = channels
    level = 0 if head == 'segmentation' else STAGES - 1
    last, outputs = LENGTH - 1, pixels[0] if head == 'segmentation' else 1
    for channels in before:
        terms.conv(channels, last, 1, pixels[level])
    terms.norm(last, pixels[level])
    terms.add(last, conv=classes * outputs, params=classes)
    terms.add(bias=classes * outputs, params=classes)
    return np.array(terms.factors), np.array(terms.weights)


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
        factors, weights = _terms(self.input_size, self.head, self.classes, self.input_stride)
        numbers = _extended(codes)
        if torch.is_tensor(numbers):
            # one gather: its backward pass is what the gradient of a cost takes its time for.
            # Integers are summed as float64, which is exact far beyond any cost
            weights = torch.as_tensor(weights, dtype=numbers.dtype, device=numbers.device)
            chosen = torch.as_tensor(factors, device=numbers.device).T.reshape(-1)
            parts = numbers.index_select(-1, chosen).unflatten(-1, (4, -1)).unbind(-2)
        else:
            parts = [numbers[..., column] for column in factors.T]
        sums = (parts[0] * parts[1] * parts[2] * parts[3]) @ weights
        return {kind: sums[..., column] for column, kind in enumerate(KINDS)}

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


def _extended(codes: Any) -> Any:
    """Codes (..., 27) with a one and the four repeats less one behind, (..., 32)."""
    if isinstance(codes, NetworkCode):
        codes = codes.array()
    if not torch.is_tensor(codes):
        codes = np.asarray(codes)
        codes = codes.astype(np.float64 if codes.dtype.kind == 'f' else np.int64)
    elif not codes.is_floating_point():
        codes = codes.double()
    if codes.shape[-1:] != (LENGTH,):
        raise ValueError(f'codes of shape (..., {LENGTH}) expected, got {tuple(codes.shape)}')
    repeats = codes[..., list(REPEATS)] - 1
    join = torch.cat if torch.is_tensor(codes) else np.concatenate
    return join([codes, repeats[..., :1] * 0 + 1, repeats], -1)
