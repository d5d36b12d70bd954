"""Image-level labels in the columns of a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import nearest, read_text
from bmtas.kinds import Kind, build_kind


class LabelColumn:
    """Reads a label from a column of ``<root>/<table>``, a row for each image.

    Args:
        table: A text file with a line of column names.
        column: Name of the column.
        kind: Name of a kind of whole images (registry KINDS), or the kind itself.
        id_column: Column of the ids of the images; the first one by default.
        separator: Between the columns: ``,``, ``;``, a tab, or a blank for any white space.
        values: Text of a cell -> value, e.g. ``dict(yes=1, no=0)``; without it cells are numbers.
        missing: Texts of cells that mean "no label".
        optional: Whether images may lack a row.
        options: Options of the kind.

    Raises:
        ValueError: Unknown kind or option, or a kind of maps.
    """

    def __init__(
        self,
        table: str,
        column: str,
        kind: str | Kind,
        id_column: str | None = None,
        separator: str = ',',
        values: Mapping[str, int] | None = None,
        missing: Sequence[str] = ('',),
        optional: bool = False,
        **options: Any,
    ) -> None:
        own = ('column', 'id_column', 'separator', 'values', 'missing', 'optional')
        self.kind = build_kind(kind, f'column {column!r} of {table!r}', own, options)
        if self.kind.dense:
            raise ValueError(f'column {column!r} of {table!r}: {self.kind} is no kind of images')
        if len(separator) != 1:
            raise ValueError(
                f'column {column!r} of {table!r}: separator must be one character, got '
                f'{separator!r}'
            )
        self.table, self.column, self.id_column = table, column, id_column
        self.separator, self.missing, self.optional = separator, tuple(missing), optional
        self.values = None if values is None else {str(k): v for k, v in values.items()}

    def paths(self, root: Path, img_id: str) -> list[Path]:
        """The file that the label of any image needs."""
        return [root / self.table]

    def read(self, root: Path, img_id: str) -> np.ndarray | None:
        """The label, or None where the cell is empty or the image has no row and may lack it.

        Raises:
            FileNotFoundError: No such table.
            ValueError: No such column, an id twice, no row for the image, or a cell that is no
                value; the message names the file.
        """
        path = root / self.table
        columns, rows = _read_table(path, path.stat().st_mtime_ns if path.is_file() else 0,
                                    self.id_column, self.separator)  # fmt: skip
        if self.column not in columns:
            known = nearest(self.column, columns)
            raise ValueError(f'{path}: there is no column {self.column!r}; {known}')
        if img_id not in rows:
            if self.optional:
                return None
            raise ValueError(
                f'{path}: no row for image {img_id!r}; add it, or set optional=True on the label'
            )
        cell = rows[img_id][columns[self.column]].strip()
        return None if cell in self.missing else self._decode(cell, f'{path}: image {img_id!r}')

    def _decode(self, cell: str, where: str) -> np.ndarray:
        if self.values is not None:
            if cell not in self.values:
                known = nearest(cell, self.values)
                raise ValueError(
                    f'{where}: {self.column} is {cell!r}, which is not among values; {known}'
                )
            return self.kind.decode(np.array(self.values[cell]), Path(where))
        try:
            number = float(cell)
        except ValueError:
            raise ValueError(
                f'{where}: {self.column} is {cell!r}, no number; map it with values=dict(...), or '
                'list it under missing'
            ) from None
        return self.kind.decode(np.array(number), Path(where))


@lru_cache(8)
def _read_table(
    path: Path, changed: int, id_column: str | None, separator: str
) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Place of each column, and the rows by id; read once for all columns."""
    text = read_text(path, 'table')
    if separator == ' ':
        lines = [line.split() for line in text.splitlines() if line.strip()]
    else:
        try:
            lines = [row for row in csv.reader(text.splitlines(), delimiter=separator) if row]
        except csv.Error as error:
            raise ValueError(f'{path}: {error}; a quote may lack its end') from None
    if not lines:
        raise ValueError(f'{path}: the table is empty')
    columns = {name.strip(): index for index, name in enumerate(lines[0])}
    if id_column is not None and id_column not in columns:
        raise ValueError(
            f'{path}: there is no id column {id_column!r}; {nearest(id_column, columns)}'
        )
    at = 0 if id_column is None else columns[id_column]
    rows: dict[str, list[str]] = {}
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(columns):
            raise ValueError(
                f'{path}:{number}: {len(row)} columns, the first line has {len(columns)}'
            )
        img_id = row[at].strip()
        if img_id in rows:
            raise ValueError(f'{path}:{number}: id {img_id!r} is listed twice')
        rows[img_id] = row
    return columns, rows
