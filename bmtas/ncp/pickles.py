"""Pickles of plain records, read without executing anything."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

_NUMPY_NAMES = {
    ('numpy', 'ndarray'),
    ('numpy', 'dtype'),
    ('numpy.core.multiarray', '_reconstruct'),
    ('numpy._core.multiarray', '_reconstruct'),
}


class RecordUnpickler(pickle.Unpickler):
    """Unpickler of plain records: containers, strings, numbers and numpy arrays, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the names of the allow-list, refuse any other global.

        Raises:
            pickle.UnpicklingError: The pickle asks for another global.
        """
        if (module, name) not in _NUMPY_NAMES:
            raise pickle.UnpicklingError(
                f'the pickle asks for {module}.{name}; only plain lists, dicts, numbers, strings '
                'and numpy arrays are read'
            )
        if name == '_reconstruct':
            from numpy._core import multiarray

            return multiarray._reconstruct
        return getattr(np, name)


def read_pickle(path: str | Path) -> list[dict[str, Any]]:
    """Read a list of records; executes nothing.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file asks for forbidden names, is damaged, or is no list of records.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
    try:
        with path.open('rb') as file:
            records = RecordUnpickler(file).load()
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to ask for
        raise ValueError(f'{path}: refused or damaged ({error})') from error
    if not isinstance(records, list) or not records:
        raise ValueError(
            f'{path}: a list of records (dicts) expected, got {type(records).__name__}'
        )
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            raise ValueError(f'{path}: record {row} is no dict but {type(record).__name__}')
    return records
