"""Digits as many tasks: ten of one digit against the rest, and twelve sets of digits."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bmtas.registry import DATASETS
from bmtas.typed import Count

from .image_level import ImageLevelDataset, check_split, held_out

SETS: Mapping[str, tuple[int, ...]] = dict(
    **{f'is_{digit}': (digit,) for digit in range(10)},
    even=(0, 2, 4, 6, 8),
    below_five=(0, 1, 2, 3, 4),
    prime=(2, 3, 5, 7),
    square=(0, 1, 4, 9),
    power_of_two=(1, 2, 4, 8),
    multiple_of_three=(0, 3, 6, 9),
    fibonacci=(0, 1, 2, 3, 5, 8),
    triangular=(0, 1, 3, 6),
    closed_loop=(0, 6, 8, 9),
    straight_stroke=(1, 4, 5, 7),
    middle=(3, 4, 5, 6),
    extreme=(0, 1, 8, 9),
)
"""Label keys of two classes -> the digits that are in class 1."""


def digit_table(digits: np.ndarray) -> dict[str, np.ndarray]:
    """Labels of digits (N,): ``digit`` itself, and whether it is in each of ``SETS``."""
    return dict(digit=digits, **{name: np.isin(digits, members) for name, members in SETS.items()})


class _DigitImages(ImageLevelDataset):
    """Grey images (N, h, w) uint8, enlarged to one size."""

    def __init__(self, images, digits, size, split, /, **options: Any) -> None:
        self.images, self.size = images, size
        classes = dict(digit=10, **dict.fromkeys(SETS, 2))
        super().__init__(digit_table(digits), classes, split, **options)

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> tuple[np.ndarray, str, None]:
        size = (self.size, self.size)
        grey = cv2.resize(self.images[index], size, interpolation=cv2.INTER_LINEAR)
        return np.repeat(grey[:, :, None], 3, 2), f'{self.split}_{index:05d}', None


@DATASETS.register_module()
class Digits(_DigitImages):
    """scikit-learn's 1797 handwritten digits of 8x8 pixels; nothing to download.

    Args:
        split: ``train`` (1000), ``val`` (197) or ``test`` (600), by a fixed permutation.
        size: Side of the enlarged image in pixels.
        options: See ``ImageLevelDataset``; label keys are those of ``SETS`` and ``digit``.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """

    def __init__(
        self,
        split: str = 'train',
        size: Count = 32,
        **options: Any,
    ) -> None:
        try:
            from sklearn.datasets import load_digits
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "Digits: scikit-learn is missing; pip install '.[digits]'"
            ) from None
        bounds = dict(train=(0, 1000), val=(1000, 1197), test=(1197, 1797))
        check_split('Digits', split, list(bounds))
        data = load_digits()
        order = np.random.default_rng(0).permutation(len(data.target))[slice(*bounds[split])]
        images = np.round(data.images[order] * (255 / 16)).astype(np.uint8)
        digits = data.target[order]
        super().__init__(images, digits, size, split, **options)


@DATASETS.register_module()
class IdxImages(_DigitImages):
    """Images and ids in the IDX files of MNIST, plain or with gzip.

    ::

        <data_root>/train-images-idx3-ubyte[.gz]   <data_root>/train-labels-idx1-ubyte[.gz]
        <data_root>/t10k-images-idx3-ubyte[.gz]    <data_root>/t10k-labels-idx1-ubyte[.gz]

    Args:
        data_root: Folder of the files.
        split: ``train``, ``val`` (every tenth of the training images), ``trainval``, ``test``.
        size: Side of the enlarged image in pixels.
        options: See ``ImageLevelDataset``; label keys are those of ``SETS`` and ``digit``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: Another magic number, a truncated file, or files of different lengths.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        size: Count = 32,
        **options: Any,
    ) -> None:
        check_split('IdxImages', split, ('train', 'val', 'trainval', 'test'))
        stem = 't10k' if split == 'test' else 'train'
        images = read_idx(Path(data_root) / f'{stem}-images-idx3-ubyte', 3)
        digits = read_idx(Path(data_root) / f'{stem}-labels-idx1-ubyte', 1)
        if len(images) != len(digits):
            raise ValueError(
                f'{data_root}: {len(images)} images but {len(digits)} labels in the {stem} files; '
                'fetch them again'
            )
        if split != 'test':
            chosen = held_out(len(images), split)
            images, digits = images[chosen], digits[chosen]
        super().__init__(images, digits, size, split, **options)

    def image_names(self) -> list[str]:
        """The images have no names; their checksum stands for all of them."""
        return [hashlib.sha256(np.ascontiguousarray(self.images)).hexdigest()]


def read_idx(path: Path, rank: int) -> np.ndarray:
    """The bytes of an IDX file of this rank; ``<path>.gz`` where there is no plain one.

    Raises:
        FileNotFoundError: Neither is there.
        ValueError: Another magic number, or fewer or more bytes than the header says.
    """
    packed = path.with_name(path.name + '.gz')
    if not path.is_file() and not packed.is_file():
        raise FileNotFoundError(
            f'{path}: neither this file nor {packed.name} found; put the IDX files of the data set '
            'there, or point --data-root at them'
        )
    used = path if path.is_file() else packed
    try:
        content = path.read_bytes() if used == path else gzip.decompress(packed.read_bytes())
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f'{used}: the file is truncated or damaged ({error})') from None
    magic, expected = int.from_bytes(content[:4], 'big'), 0x800 + rank  # 8: bytes
    if magic != expected:
        raise ValueError(
            f'{used}: magic number 0x{magic:08x}, expected 0x{expected:08x}; it is no IDX file of '
            f'{rank} dimensions'
        )
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f'{used}: the file is truncated, its header is not complete')
    shape = struct.unpack(f'>{rank}I', content[4:start])
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise ValueError(
            f'{used}: {len(content) - start} bytes of data, the header says {shape}; fetch it again'
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
