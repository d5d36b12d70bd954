"""MATLAB files of version 5 to 7.2: checked first, since SciPy's reader may crash on damaged ones.

Format: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
"""Bytes of a value by the type of a data element: int8, uint8, int16, ..., UTF-32."""
INT32, UINT32, MATRIX, COMPRESSED = 5, 6, 14, 15
CELL, STRUCT, OBJECT, CHAR, SPARSE = range(1, 6)
NUMERIC = range(6, 16)
COMPLEX = 0x800
HEADER, LARGEST, DEEPEST = 128, 1 << 31, 64

_PASSED: set[int] = set()
"""Hashes of contents that were checked in this process: every epoch reads the same files."""


class Elements:
    """Walks the data elements of a buffer.

    Args:
        data: The bytes.
        order: '<' or '>', the byte order.
    """

    def __init__(self, data: bytes, order: str) -> None:
        self.data, self.order, self.place = data, order, 0

    def next(self, padded: bool = True) -> tuple[int, bytes]:
        """Type and content of the next element."""
        first, size = self._numbers('II', self.place, 8)
        start = self.place + 8
        if first >> 16:  # a small element: size, type and up to four bytes
            first, size, start, end = first & 0xFFFF, first >> 16, start - 4, start
            if size > 4:
                raise ValueError('a small element of more than four bytes')
        else:
            end = start + size
        if start + size > len(self.data):
            raise ValueError('an element is cut')
        self.place = end + (-end % 8 if padded else 0)
        return first, self.data[start : start + size]

    def values(self, *types: int) -> np.ndarray:
        """Numbers of the next element, which must be of one of these types of integers."""
        kind, content = self.next()
        if kind not in types or len(content) % ITEM_SIZES[kind]:
            raise ValueError(f'an element of type {kind} in the place of integers')
        return np.frombuffer(content, f'{self.order}i{ITEM_SIZES[kind]}')

    def count(self) -> int:
        """Number of values of the next element."""
        kind, content = self.next()
        if kind not in ITEM_SIZES or len(content) % ITEM_SIZES[kind]:
            raise ValueError(f'an element of type {kind} in the place of values')
        return len(content) // ITEM_SIZES[kind]

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """The elements of a file that follow."""
        while len(self.data) - self.place >= 8:
            compressed = self._numbers('I', self.place, 4)[0] == COMPRESSED
            yield self.next(padded=not compressed)

    def _numbers(self, form: str, place: int, size: int) -> tuple[int, ...]:
        if place + size > len(self.data):
            raise ValueError('the file is cut')
        return struct.unpack(self.order + form, self.data[place : place + size])


def load_mat(path: Path) -> dict[str, Any]:
    """All variables of a file, as ``scipy.io.loadmat`` returns them.

    Raises:
        FileNotFoundError, ValueError: No such file, a damaged one, or version 7.3.
    """
    from scipy.io import loadmat

    try:
        content = path.read_bytes()
        mark = hash(content)
        if mark not in _PASSED:
            check_mat(content)
            _PASSED.add(mark)
        return loadmat(io.BytesIO(content))
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: label file not found') from None
    except NotImplementedError:
        raise ValueError(f'{path}: MATLAB 7.3 files are not read, save it with -v7') from None
    except Exception as error:  # SciPy lets those of zlib and struct through, too
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f'{path}: cannot be read, the file is damaged or of another format ({reason}); fetch '
            'or write it again'
        ) from None


def check_mat(content: bytes) -> None:
    """Check that the elements of a file of version 5 to 7.2 are whole; other versions pass.

    Raises:
        ValueError: Sizes, types or checksums that contradict each other.
    """
    if 0 in content[:4] or len(content) < HEADER or content[126:128] not in (b'IM', b'MI'):
        return
    order = '<' if content[126:128] == b'IM' else '>'
    version = struct.unpack(order + 'H', content[124:126])[0]
    if version >> 8 != 1:
        return
    for kind, element in Elements(content[HEADER:], order).rest():
        if kind == COMPRESSED:
            kind, element = Elements(_unpacked(element), order).next(padded=False)
        if kind != MATRIX:
            raise ValueError(f'an element of type {kind} in the place of a matrix')
        _check_matrix(element, order)


def _unpacked(content: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(content, LARGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not unpacker.eof:
        raise ValueError('compressed data is cut, or larger than 2 GB')
    return data


def _check_matrix(content: bytes, order: str, depth: int = 0) -> None:
    if not content:  # an empty matrix
        return
    if depth > DEEPEST:
        raise ValueError(f'cells nested more than {DEEPEST} deep')
    elements = Elements(content, order)
    flags = elements.values(UINT32)
    if len(flags) != 2:
        raise ValueError('flags of a matrix are damaged')
    kind = int(flags[0]) & 0xFF
    if kind not in (CELL, STRUCT, OBJECT, CHAR, SPARSE, *NUMERIC):
        return _check_rest(elements)
    shape = elements.values(INT32, UINT32)
    if not 2 <= len(shape) <= 32 or (shape < 0).any():
        raise ValueError('the shape of a matrix is damaged')
    elements.count()  # its name
    entries = math.prod(shape.tolist())
    parts = 2 if int(flags[0]) & COMPLEX else 1
    if kind in NUMERIC and any(elements.count() != entries for _ in range(parts)):
        raise ValueError('a matrix has another number of values than its shape says')
    if kind == CHAR:
        elements.count()
    if kind == SPARSE:
        _check_sparse(elements, shape, parts)
    if kind in (STRUCT, OBJECT):
        entries *= _fields(elements, kind)
    if kind in (CELL, STRUCT, OBJECT):
        for _ in range(entries):
            inner, element = elements.next()
            if inner != MATRIX:
                raise ValueError(f'an element of type {inner} in the place of a matrix')
            _check_matrix(element, order, depth + 1)


def _check_rest(elements: Elements) -> None:
    """Functions and objects that SciPy does not look into."""
    for _ in elements.rest():
        pass


def _check_sparse(elements: Elements, shape: np.ndarray, parts: int) -> None:
    rows, starts = elements.values(INT32, UINT32), elements.values(INT32, UINT32)
    used = int(starts[-1]) if len(starts) else -1
    good = len(starts) == shape[1] + 1 and starts[0] == 0 and (np.diff(starts) >= 0).all()
    if not good or used > len(rows) or not ((rows[:used] >= 0) & (rows[:used] < shape[0])).all():
        raise ValueError('a sparse matrix has places outside of its shape')
    if any(elements.count() < used for _ in range(parts)):
        raise ValueError('a sparse matrix has too few values')


def _fields(elements: Elements, kind: int) -> int:
    if kind == OBJECT:
        elements.count()  # its class
    length, (_, names) = elements.values(INT32, UINT32), elements.next()
    if len(length) != 1 or length[0] < 1 or len(names) % int(length[0]):
        raise ValueError('names of fields are damaged')
    return len(names) // int(length[0])
