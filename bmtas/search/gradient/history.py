"""The course of a search as JSON lines, one row per report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bmtas.files import append_line, read_text, write_text

HISTORY = 'history.jsonl'


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a history file in order; a last line that was cut off by a kill is dropped.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A row in the middle is damaged.
    """
    rows = []
    lines = read_text(path, 'history').splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get('update'), int):
                raise ValueError('no row of a search')
        except (ValueError, RecursionError):
            if number == len(lines):
                break
            raise ValueError(f'history {path}: line {number} is damaged') from None
        rows.append(row)
    return rows


def trim_history(path: str | Path, update: int) -> int:
    """Forget the rows from an update on: a resumed run writes them again.

    Returns:
        Number of rows that are left; 0 if there is no file.
    """
    if not Path(path).is_file():
        return 0
    rows = [row for row in read_history(path) if row['update'] < update]
    write_text(path, ''.join(json.dumps(row) + '\n' for row in rows))
    return len(rows)


def append_history(path: str | Path, row: dict[str, Any]) -> None:
    """Add a row."""
    append_line(path, json.dumps(row, allow_nan=False))
