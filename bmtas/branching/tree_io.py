"""Branching files: reading with clear errors, writing in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import nearest, read_json, write_text


def check_routes(routes: Any) -> np.ndarray:
    """Turn a table of candidates into an integer array (L, T).

    Args:
        routes: Nested lists, array or tensor of whole numbers >= 0; 1.0 counts as whole.

    Raises:
        ValueError: With the row or entry that is wrong.
    """
    rows = routes.tolist() if hasattr(routes, 'tolist') else routes
    if not isinstance(rows, (list, tuple)) or not rows:
        raise ValueError('routes must be a non-empty table: L rows of T numbers')
    for number, row in enumerate(rows):
        if not isinstance(row, (list, tuple)) or not row:
            raise ValueError(f'row {number} of the routes must be a list of numbers, got {row!r}')
        if len(row) != len(rows[0]):
            raise ValueError(
                f'row {number} of the routes has {len(row)} entries, row 0 has {len(rows[0])}'
            )
        for column, entry in enumerate(row):
            if not _is_candidate(entry):
                raise ValueError(
                    f'row {number}, column {column} of the routes is {entry!r}, '
                    'not a whole number >= 0'
                )
    return np.array(rows, dtype=np.float64).astype(np.int64)


def _is_candidate(entry: Any) -> bool:
    number = isinstance(entry, (int, float)) and not isinstance(entry, bool)
    return number and 0 <= entry < 2**31 and entry == int(entry)


def read_tree(path: Path, tasks: Sequence[str] | None, num_layers: int | None) -> dict[str, Any]:
    """Read a branching file and compare it with what is expected.

    Returns:
        The file's content with ``config`` as an array (L, T), ``tasks`` the names of the columns
        (the file's, else the expected ones, else None) and ``layers`` or None.
    """
    content = _load(path)
    try:
        routes = check_routes(content['config'])
        names = _check_names(content.get('tasks'), tasks, routes.shape[1])
        layers = content.get('layers')
        if num_layers is not None and len(routes) != num_layers:
            raise ValueError(f'the tree has {len(routes)} layers, the encoder {num_layers}')
        if layers is not None and (not isinstance(layers, list) or len(layers) != len(routes)):
            raise ValueError(f"'layers' does not name {len(routes)} layers")
    except ValueError as error:
        raise ValueError(f'branching file {path}: {error}') from None
    return {**content, 'config': routes, 'tasks': names, 'layers': layers}


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f'branching file {path} does not exist; bmtas search writes one as branching.json'
        )
    content = read_json(path, 'branching file')
    if not isinstance(content, dict) or 'config' not in content:
        raise ValueError(
            f'branching file {path} has no key \'config\'; expected {{"config": [[...], ...]}}'
        )
    return content


def _check_names(names: Any, expected: Sequence[str] | None, num_tasks: int) -> list[str] | None:
    """Names of the columns; complain about those that nobody expects."""
    if names is None:
        if expected is not None and len(expected) != num_tasks:
            raise ValueError(
                f'the tree has {num_tasks} columns, expected {len(expected)}: {list(expected)}'
            )
        return None if expected is None else list(expected)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"'tasks' must be a list of names, got {names!r}")
    if len(names) != num_tasks:
        raise ValueError(f"'tasks' has {len(names)} names for {num_tasks} columns")
    if len(set(names)) != num_tasks:
        raise ValueError(f"'tasks' must be distinct, got {names}")
    if expected is not None:
        _compare_names(names, expected)
    return names


def _compare_names(names: Sequence[str], expected: Sequence[str]) -> None:
    unknown = [name for name in names if name not in expected]
    if unknown:
        raise ValueError(f'unknown task {unknown[0]!r}; {nearest(unknown[0], expected)}')
    missing = [name for name in expected if name not in names]
    if missing:
        raise ValueError(f'no column for task {missing[0]!r}, the tree is for {list(names)}')


def write_tree(path: Path, content: Mapping[str, Any]) -> None:
    """Write one row of a table per line."""
    entries = []
    for key, value in content.items():
        if key in ('config', 'groups'):
            rows = ',\n    '.join(json.dumps(row) for row in value)
            entries.append(f'  {json.dumps(key)}: [\n    {rows}\n  ]')
        else:
            entries.append(f'  {json.dumps(key)}: {json.dumps(value)}')
    write_text(path, '{\n' + ',\n'.join(entries) + '\n}\n')
