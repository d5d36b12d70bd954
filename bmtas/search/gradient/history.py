"""The course of a search as JSON lines, one row per report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bmtas.files import write_text

FILE = 'history.jsonl'


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a history file in order; a last line that was cut off by a kill is dropped."""
    rows = []
    for line in Path(path).read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def trim_history(path: str | Path, update: int) -> None:
    """Forget the rows from an update on: a resumed run writes them again."""
    if Path(path).is_file():
        rows = [row for row in read_history(path) if row['update'] < update]
        write_text(path, ''.join(json.dumps(row) + '\n' for row in rows))


def append_history(path: str | Path, row: dict[str, Any]) -> None:
    """Add a row."""
    with open(path, 'a') as stream:
        stream.write(json.dumps(row) + '\n')
