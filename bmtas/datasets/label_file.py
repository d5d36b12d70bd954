"""One label of a data set as one file per image: where it lies and how it is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bmtas.structures import IGNORE, KINDS

from .files import read_array

OPTIONS = {
    'classes': {'num_classes', 'ignore', 'offset', 'remap'},
    'mask': {'threshold', 'ignore'},
    'depth': {'scale', 'nan_invalid'},
    'normals': {'flip'},
}
"""Decoding options of each kind."""


def _ignored(ignore: int | Sequence[int] | None) -> tuple[int, ...]:
    if ignore is None:
        return ()
    return (ignore,) if isinstance(ignore, int) else tuple(ignore)


def _integers(raw: np.ndarray, path: Path) -> np.ndarray:
    if raw.ndim != 2:
        raise ValueError(f'{path}: a label map has two dimensions, this one {raw.shape}')
    if raw.dtype == bool:
        return raw.astype(np.uint8)
    if np.issubdtype(raw.dtype, np.integer):
        return raw
    rounded = np.rint(raw)
    if not np.array_equal(rounded, raw):
        raise ValueError(f'{path}: class ids must be whole numbers')
    return rounded.astype(np.int64)


def _flat(raw: np.ndarray) -> np.ndarray:
    """Drop a last dimension of one channel."""
    return raw[..., 0] if raw.ndim == 3 and raw.shape[2] == 1 else raw


def decode_classes(
    raw: np.ndarray,
    path: Path,
    num_classes: int,
    ignore: int | Sequence[int] | None = IGNORE,
    offset: int = 0,
    remap: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Class ids (H, W), uint8 (int32 beyond 255 classes), 255 ignored.

    Args:
        raw: Values of the file.
        path: For messages.
        num_classes: Ids must be 0 to num_classes - 1 after decoding.
        ignore: Value or values of the file that mean "no label".
        offset: Added to all other values, e.g. -1 where the file counts from 1.
        remap: Table file value -> class id instead of ``offset``; values that are not listed are
            ignored.

    Raises:
        ValueError: An id outside the range.
    """
    raw = _integers(_flat(raw), path)
    # through a table: one pass over the pixels, whatever the rules
    low, high = int(raw.min()), int(raw.max())
    if low < 0 or high >= 1 << 16:
        raise ValueError(f'{path}: values {low}..{high} are no class ids')
    values = np.arange(high + 1)
    if remap is None:
        table = values + offset
    else:
        table = np.array([remap.get(int(value), IGNORE) for value in values])
    table[[value for value in _ignored(ignore) if value <= high]] = IGNORE
    wrong = (table != IGNORE) & ((table < 0) | (table >= num_classes))
    if wrong.any():
        present = np.flatnonzero(np.bincount(raw.ravel(), minlength=high + 1))
        bad = [int(value) for value in present if wrong[value]]
        if bad:
            raise ValueError(
                f'{path}: value {bad[0]} decodes to class {int(table[bad[0]])}, outside '
                f'0..{num_classes - 1}; check num_classes, ignore, offset and remap of the label'
            )
    return table.astype(np.uint8 if num_classes <= IGNORE else np.int32, copy=False)[raw]


def decode_mask(
    raw: np.ndarray,
    path: Path,
    threshold: float = 0.5,
    ignore: int | Sequence[int] | None = None,
) -> np.ndarray:
    """Mask (H, W) uint8: 1 where the value exceeds ``threshold``, 255 where it is ``ignore``."""
    raw = _flat(raw)
    if raw.ndim != 2:
        raise ValueError(f'{path}: a mask has two dimensions, this one {raw.shape}')
    mask = (raw > threshold).astype(np.uint8)
    for value in _ignored(ignore):
        mask[raw == value] = IGNORE
    return mask


def decode_depth(
    raw: np.ndarray, path: Path, scale: float = 1.0, nan_invalid: bool = False
) -> np.ndarray:
    """Metres (H, W) float32, 0 invalid: value times ``scale``.

    Args:
        raw: Values of the file; 0 means no measurement.
        path: For messages.
        scale: Metres per unit of the file, 0.001 for millimetres.
        nan_invalid: Whether NaN, infinite and negative values mean "no measurement". If not,
            they are errors.

    Raises:
        ValueError: NaN, infinite or negative values.
    """
    raw = _flat(raw)
    if raw.ndim != 2:
        raise ValueError(f'{path}: a depth map has two dimensions, this one {raw.shape}')
    depth = raw.astype(np.float32) * np.float32(scale)
    if np.issubdtype(raw.dtype, np.unsignedinteger):
        return depth
    wrong = ~(np.isfinite(depth) & (depth >= 0))
    if wrong.any():
        if not nan_invalid:
            raise ValueError(
                f'{path}: {int(wrong.sum())} depths are NaN, infinite or negative; '
                'set nan_invalid=True on the label if that means "no measurement"'
            )
        depth[wrong] = 0
    return depth


_BYTE_TO_UNIT = (np.arange(256) / 127.5 - 1).astype(np.float32)


def decode_normals(
    raw: np.ndarray,
    path: Path,
    flip: Sequence[int] = (1, 1, 1),
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Unit vectors (H, W, 3) float32, zeros invalid; x right, y down, z forward.

    8-bit values decode to v / 127.5 - 1, 16-bit values to v / 32767.5 - 1, floats are taken as
    they are; (0, 0, 0) in the file means "no normal". Vectors are brought to length one.

    Args:
        raw: Values of the file (H, W, 3).
        path: For messages.
        flip: Signs (x, y, z) that turn the file's axes into those above.
        valid: Mask (H, W) of the pixels to keep; all by default.

    Raises:
        ValueError: Another shape, or values that are not finite.
    """
    if raw.ndim != 3 or raw.shape[2] != 3:
        raise ValueError(f'{path}: normals must be (H, W, 3), this is {raw.shape}')
    if raw.dtype == np.uint8:
        normals = cv2.LUT(raw, _BYTE_TO_UNIT)
    elif raw.dtype == np.uint16:
        normals = raw.astype(np.float32) / np.float32(32767.5) - 1
    else:
        normals = raw.astype(np.float32)
        if not np.isfinite(normals).all():
            raise ValueError(f'{path}: normals are NaN or infinite')
    if tuple(flip) != (1, 1, 1):
        normals *= np.asarray(flip, np.float32)
    # one factor per pixel makes the length one and invalid vectors zero in a single pass
    squared = cv2.transform(cv2.multiply(normals, normals), np.ones((1, 3), np.float32))
    factor = 1 / np.sqrt(np.maximum(squared, np.float32(1e-12)))
    factor[(raw[..., 0] == 0) & (raw[..., 1] == 0) & (raw[..., 2] == 0)] = 0
    if valid is not None:
        factor *= valid
    normals *= factor[..., None]
    return normals


DECODERS = dict(
    classes=decode_classes, mask=decode_mask, depth=decode_depth, normals=decode_normals
)


class LabelFile:
    """Reads a label from ``<root>/<folder>/<id><suffix>``.

    Args:
        folder: Folder below the data root.
        kind: One of ``bmtas.structures.KINDS``.
        suffix: ``.png``, ``.jpg``, ``.npy``, ``.mat`` ...
        key: Variable in a ``.mat`` file; the folder's name by default.
        optional: Whether images may lack this label; such samples come without it.
        options: Decoding options of the kind: classes ``num_classes`` (required), ``ignore``,
            ``offset``, ``remap``; mask ``threshold``, ``ignore``; depth ``scale``,
            ``nan_invalid``; normals ``flip``. See the ``decode_*`` functions.

    Raises:
        ValueError: Unknown kind or option.
    """

    def __init__(
        self,
        folder: str,
        kind: str,
        suffix: str = '.png',
        key: str | None = None,
        optional: bool = False,
        **options: Any,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(
                f'label in {folder!r}: unknown kind {kind!r}, choose from {sorted(KINDS)}'
            )
        unknown = set(options) - OPTIONS[kind]
        if unknown:
            raise ValueError(
                f'label in {folder!r}: kind {kind!r} has no option {sorted(unknown)[0]!r}, '
                f'it has {sorted(OPTIONS[kind])}'
            )
        if kind == 'classes' and 'num_classes' not in options:
            raise ValueError(f'label in {folder!r}: kind classes needs num_classes')
        self.folder = folder
        self.kind = kind
        self.suffix = suffix
        self.key = key
        self.optional = optional
        self.options = options

    def paths(self, root: Path, img_id: str) -> list[Path]:
        """The files that the label of ``img_id`` needs."""
        return [root / self.folder / f'{img_id}{self.suffix}']

    def read(self, root: Path, img_id: str) -> np.ndarray | None:
        """The label, or None where it is optional and there is no file."""
        path = self.paths(root, img_id)[0]
        if self.optional and not path.is_file():
            return None
        return DECODERS[self.kind](read_array(path, self.key), path, **self.options)
