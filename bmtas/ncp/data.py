"""NAS-Bench-MR and nas-bench-201 records: read without executing anything, kept as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import atomic_path, meant_as, read_json, write_json
from bmtas.typed import check_value

from .pickles import read_pickle

SETTINGS: Mapping[str, tuple[str, ...]] = {
    'seg': ('mIoU', 'mAcc', 'aAcc'),
    'seg-4x': ('mIoU', 'mAcc', 'aAcc'),
    'cls-50-1000': ('top1', 'top5'),
    'cls-50-100': ('top1', 'top5'),
    'cls-10-1000': ('top1', 'top5'),
    'cls-10c': ('top1', 'top5'),
    'video': ('top1', 'top5'),
    'video-p': ('top1', 'top5'),
    '3ddet': ('moderate',),
    'nas-bench-201': ('Acc',),
}
"""Settings of the benchmark and the metrics of each, the main one first."""

COSTS: Mapping[str, tuple[str, str]] = {'nas-bench-201': ('Flops', 'Params')}
DEFAULT_COSTS = ('flops', 'params')
CODE_KEY = 'embedding'
_PART_OF_CODE = 'last_channel'


@dataclass(frozen=True)
class RecordTable:
    """Records of one or more settings: the same codes, one column per metric.

    Args:
        codes: (N, D) numbers of the codes, int64 (one-hot for nas-bench-201).
        columns: (N,) float64 by name: ``<metric>`` for one setting, ``<setting>/<metric>`` when
            settings were joined; costs as recorded (flops in G, params in M; in M for
            nas-bench-201).
    """

    codes: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if self.codes.ndim != 2:
            raise ValueError(f'codes must be a table (N, D), not of shape {self.codes.shape}')
        for name, column in self.columns.items():
            if column.shape != (len(self.codes),):
                raise ValueError(f'column {name!r} has shape {column.shape}, {len(self)} rows')

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise KeyError(f'no column {name!r}, there are {list(self.columns)}')
        return self.columns[name]

    def values(self, names: Sequence[str]) -> np.ndarray:
        """Columns side by side, (N, len(names)) float64."""
        return np.stack([self[name] for name in names], axis=1)

    def rows(self) -> dict[tuple[int, ...], int]:
        """Row number of each code."""
        return {tuple(code): row for row, code in enumerate(self.codes.tolist())}

    def to_npz(self, path: str | Path) -> None:
        """Write ``codes`` and the columns as float64 arrays."""
        with atomic_path(path) as part:
            np.savez_compressed(part, codes=self.codes, **self.columns)

    def to_json(self, path: str | Path) -> None:
        """Write ``{"codes": [[...]], "columns": {name: [...]}}``."""
        columns = {name: column.tolist() for name, column in self.columns.items()}
        write_json(path, {'codes': self.codes.tolist(), 'columns': columns}, indent=None)

    @classmethod
    def from_file(cls, path: str | Path) -> RecordTable:
        """Read a file that ``to_npz`` or ``to_json`` wrote."""
        with meant_as('records', path):
            if Path(path).suffix == '.npz':
                with np.load(path, allow_pickle=False) as arrays:
                    content = {name: arrays[name] for name in arrays.files}
                return cls(content.pop('codes'), content)
            content = read_json(path, 'records')
            columns = {k: np.array(v, dtype=np.float64) for k, v in content['columns'].items()}
            return cls(np.array(content['codes'], dtype=np.int64), columns)


def cost_names(setting: str) -> tuple[str, str]:
    """Names of the recorded costs of a setting: multiply-adds, then parameters."""
    return COSTS.get(setting, DEFAULT_COSTS)


def load_records(root: str | Path, setting: str) -> RecordTable:
    """Read one setting, ``<root>/<setting>.pkl``, as a table.

    Raises:
        FileNotFoundError: The file is absent; the message lists the settings that are there.
        ValueError: A record lacks a code or a metric, or holds no finite number.
    """
    path = Path(root) / f'{setting}.pkl'
    if not path.is_file():
        there = sorted(p.stem for p in Path(root).glob('*.pkl'))
        note = ' (its records were never published)' if setting == '3ddet' else ''
        raise FileNotFoundError(
            f'{path}: no records of setting {setting!r}{note}; '
            + (f'settings there: {", ".join(there)}' if there else 'set data_root')
        )
    records = read_pickle(path)
    scalars = (int, float, np.floating, np.integer)
    names = [
        key
        for key, value in records[0].items()
        if isinstance(value, scalars) and key != _PART_OF_CODE
    ]
    if CODE_KEY not in records[0]:
        raise ValueError(f'{path}: record 0 has no {CODE_KEY!r}')
    for row, record in enumerate(records):
        for key in [CODE_KEY, *names]:
            if key not in record:
                raise ValueError(f'{path}: record {row} has no {key!r}')
            if key != CODE_KEY and not isinstance(record[key], scalars):
                raise ValueError(f'{path}: {key!r} of record {row} is no number: {record[key]!r}')
    codes = _codes([record[CODE_KEY] for record in records], path)
    columns = {
        key: np.array([record[key] for record in records], dtype=np.float64) for key in names
    }
    for name, column in columns.items():
        if not np.isfinite(column).all():
            row = int(np.argmin(np.isfinite(column)))
            raise ValueError(f'{path}: {name!r} of record {row} is {column[row]}')
    return RecordTable(codes, columns)


def _codes(codes: Sequence[Any], path: Path) -> np.ndarray:
    """The codes of all records, (N, D) int64."""
    arrays = []
    for row, code in enumerate(codes):
        try:
            array = np.asarray(code, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(())
        whole = np.isfinite(array).all() and (array == np.rint(array)).all()
        if array.ndim != 1 or not len(array) or not whole:
            raise ValueError(f'{path}: {CODE_KEY!r} of record {row} is no list of integers')
        arrays.append(array)
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(f'{path}: codes of different lengths {sorted(lengths)}')
    return np.stack(arrays).astype(np.int64)


def load_settings(root: str | Path, settings: Sequence[str]) -> RecordTable:
    """Join settings that hold the same codes in the same order.

    Metrics become ``<setting>/<metric>``; the costs, equal everywhere, keep their names.

    Raises:
        ValueError: The settings do not hold the same codes.
    """
    columns: dict[str, np.ndarray] = {}
    codes = None
    for setting in settings:
        table = load_records(root, setting)
        if codes is not None and not np.array_equal(codes, table.codes):
            raise ValueError(f'{setting} and {settings[0]} do not hold the same codes')
        codes = table.codes
        costs = cost_names(setting)
        for name, column in table.columns.items():
            columns[name if name in costs else f'{setting}/{name}'] = column
    return RecordTable(codes, columns)


def split_rows(
    number: int, split_file: str | Path | None = None, val_fraction: float = 0.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Rows for training, validation and test.

    Args:
        number: Rows of the table.
        split_file: JSON with ``train`` and ``val`` row numbers; its ``val`` rows are the held-out
            test rows. Without it, a fifth of the rows drawn with ``seed`` is held out.
        val_fraction: Part of the training rows that is set apart for validation.
        seed: Seed of the draws, on a generator of their own.

    Returns:
        ``train``, ``val`` and ``test`` row numbers, disjoint.

    Raises:
        ValueError: Rows of the split file are repeated or outside the table.
    """
    generator = np.random.default_rng(seed)
    if split_file is None:
        order = generator.permutation(number)
        train, test = order[number // 5 :], order[: number // 5]
    else:
        content = read_json(split_file, 'split file')
        with meant_as('split file', split_file):
            for key in ('train', 'val'):
                check_value(content[key], list[int], key)
            train, test = (np.array(content[key], dtype=np.int64) for key in ('train', 'val'))
            both = np.concatenate([train, test])
        if len(np.unique(both)) != len(both) or ((both < 0) | (both >= number)).any():
            raise ValueError(f'{split_file}: rows repeated or outside 0..{number - 1}')
    held = int(round(val_fraction * len(train)))
    order = generator.permutation(len(train))
    return {'train': train[np.sort(order[held:])], 'val': train[order[:held]], 'test': test}
