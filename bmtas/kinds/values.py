"""Whole numbers of files: which mean "no label", and what the others become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

TABLE = 1 << 17
"""Widest range of values that goes through a table."""


def as_numbers(value: Any, what: str) -> tuple[int, ...]:
    """None, one whole number or several, as a tuple.

    Raises:
        ValueError: Something else.
    """
    values = () if value is None else value if isinstance(value, (list, tuple)) else (value,)
    for number in values:
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError(f'{what}: whole numbers are needed, got {value!r}')
    return tuple(values)


def whole_numbers(raw: np.ndarray, path: Path) -> np.ndarray:
    """The values of a file as integers.

    Raises:
        ValueError: A value with a fraction, NaN or infinity.
    """
    if raw.dtype == bool:
        return raw.astype(np.uint8)
    if np.issubdtype(raw.dtype, np.integer):
        return raw
    if not np.array_equal(np.rint(raw), raw) or not np.isfinite(raw).all():
        raise ValueError(f'{path}: class ids must be whole numbers')
    return raw.astype(np.int64)


def check_ids(label: Tensor, count: int, ignored: int, where: str) -> None:
    """Raise a ValueError naming the first id that is neither in 0 ... count-1 nor ignored."""
    faulty = ((label < 0) | (label >= count)) & (label != ignored)
    if faulty.any():
        raise ValueError(
            f'{where}: class id {int(label[faulty][0])}, but there are {count} classes '
            f'(0 to {count - 1}, {ignored} is ignored)'
        )


@dataclass(frozen=True)
class ClassIds:
    """Options of kinds whose labels are class ids.

    Args:
        num_classes: Ids are 0 to num_classes - 1.
        ignore: Value or values of the file that mean "no label", of any sign.
        offset: Added to all other values of the file, e.g. -1 where it counts from 1.
        remap: Table file value -> class id instead of ``offset``; values that are not listed have
            no label.
    """

    num_classes: int
    ignore: int | Sequence[int] | None = None
    offset: int = 0
    remap: Mapping[int, int] | None = None

    def __post_init__(self) -> None:
        count = self.num_classes
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f'num_classes must be a positive whole number, got {count!r}')
        as_numbers(self.ignore, 'ignore')
        if self.remap is not None:
            self._check_remap(self.remap)

    def _check_remap(self, remap: Mapping[int, int]) -> None:
        if self.offset:
            raise ValueError('offset and remap exclude each other')
        for value, index in remap.items():
            if not str(value).removeprefix('-').isdecimal() or not 0 <= index < self.num_classes:
                raise ValueError(
                    f'remap must lead from whole numbers to 0..{self.num_classes - 1}, got '
                    f'{value!r}: {index!r}; values that are not listed have no label'
                )

    @property
    def channels(self) -> int:
        """One for each class."""
        return self.num_classes

    def check(self, label: Tensor, where: str) -> None:
        check_ids(label, self.num_classes, self.ignored, where)

    def labelled(self, label: Tensor | np.ndarray) -> Any:
        """Where there is an id."""
        return label != self.ignored

    def ids_of(
        self, raw: np.ndarray, ignore: tuple[int, ...], path: Path, dtype: type
    ) -> np.ndarray:
        """Class ids of an array of whole numbers, ``self.ignored`` where there is no label.

        Raises:
            ValueError: A value with a fraction, or one that is neither ignored nor an id.
        """
        raw = whole_numbers(raw, path)
        low, high = int(raw.min()), int(raw.max())
        if high - low < TABLE and high < 2**63:  # one pass over the pixels, whatever the rules
            values, where = np.arange(low, high + 1), raw
            if low:
                where = raw.astype(np.int64) - low
        else:
            values, where = np.unique(raw, return_inverse=True)
            where = where.reshape(raw.shape)
        ids, wrong = self._convert(values, ignore)
        if wrong.any() and (found := wrong[where]).any():
            value = int(raw[found].min())
            raise ValueError(
                f'{path}: value {value} decodes to class {int(ids[where][found].min())}, outside '
                f'0..{self.num_classes - 1}; check num_classes, ignore, offset and remap of the '
                'label'
            )
        return ids.astype(dtype)[where]

    def _convert(
        self, values: np.ndarray, ignore: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids (M,) int64 of values, and which of them are impossible (M,) bool."""
        if self.remap is None:
            # far from zero, the sum with the offset could come back into range
            small = abs(values.astype(np.float64)) < 2**62
            ids = np.where(small, values.astype(np.int64) + self.offset, -1)
            known = np.ones(len(values), bool)
        else:
            remap = {int(value): index for value, index in self.remap.items()}
            ids = np.array([remap.get(int(value), 0) for value in values], np.int64)
            known = np.array([int(value) in remap for value in values], bool)
        known &= ~np.isin(values, ignore)
        wrong = known & ((ids < 0) | (ids >= self.num_classes))
        return np.where(known, ids, self.ignored), wrong
