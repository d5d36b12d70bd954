"""The masks of a whole network, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import meant_as, read_json, write_json
from bmtas.task_routing.masks import check_rows, mask_statistics
from bmtas.typed import check_value

VERSION = 1


@dataclass(frozen=True)
class MaskTable:
    """For each layer (group of channels that carry one mask) a bool array (T, C).

    Args:
        tasks: T names.
        layers: Name of the layer -> mask, in the order of the network.
        scheme, seed, keep_ratio: How the masks were drawn.
    """

    tasks: tuple[str, ...]
    layers: Mapping[str, np.ndarray]
    scheme: str
    seed: int
    keep_ratio: float

    def __post_init__(self) -> None:
        for name, mask in self.layers.items():
            check_rows(name, mask, self.tasks)

    @property
    def widths(self) -> dict[str, int]:
        """C by layer."""
        return {name: mask.shape[1] for name, mask in self.layers.items()}

    def select(self, tasks: Sequence[str]) -> MaskTable:
        """The rows of some tasks, in their order."""
        rows = [self.tasks.index(task) for task in tasks]
        layers = {name: mask[rows] for name, mask in self.layers.items()}
        return MaskTable(tuple(tasks), layers, self.scheme, self.seed, self.keep_ratio)

    def statistics(self) -> dict[str, dict[str, float]]:
        """``mask_statistics`` by layer."""
        return {name: mask_statistics(mask) for name, mask in self.layers.items()}

    def difference(self, other: MaskTable, rows: bool = True) -> str:
        """What differs first between two tables, '' if nothing does.

        Args:
            other: The table to compare with.
            rows: Compare the masks themselves, too; else only how and for what they were made.
        """
        for key in ('tasks', 'widths', 'scheme', 'seed', 'keep_ratio'):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine != theirs:
                return f'{key}: {_shown(mine)} against {_shown(theirs)}'
        for name in self.layers if rows else ():
            wrong = np.flatnonzero((self.layers[name] != other.layers[name]).any(1))
            if len(wrong):
                return f'layer {name!r}: the channels of task {self.tasks[wrong[0]]!r} differ'
        return ''

    def check(self, tasks: Sequence[str], widths: Mapping[str, int], source: str | Path) -> None:
        """Raise ValueError where the table was made for other tasks, layers or widths."""
        if self.tasks != tuple(tasks):
            raise ValueError(
                f'{source}: masks of the tasks {_shown(self.tasks)}, the network has '
                f'{_shown(tuple(tasks))}; draw new masks or select the tasks'
            )
        for name in [*widths, *self.layers]:
            if name not in self.layers or name not in widths:
                where = 'the network' if name in widths else 'the file'
                raise ValueError(
                    f'{source}: layer {name!r} exists in {where} alone; the masks belong to '
                    'another backbone'
                )
            if self.widths[name] != widths[name]:
                raise ValueError(
                    f'{source}: layer {name!r} has {self.widths[name]} channels, in the network '
                    f'{widths[name]}; the masks belong to another width'
                )

    def content(self) -> dict[str, Any]:
        """Plain values, rows as run lengths; also what a config may hold."""
        layers = {
            name: dict(units=mask.shape[1], rows=[encode_row(row) for row in mask])
            for name, mask in self.layers.items()
        }
        return dict(
            version=VERSION,
            tasks=list(self.tasks),
            scheme=self.scheme,
            seed=self.seed,
            keep_ratio=self.keep_ratio,
            layers=layers,
        )

    @classmethod
    def from_content(cls, content: Any, source: str | Path = 'masks') -> MaskTable:
        """Build from ``content``.

        Raises:
            ValueError: A key is missing or a row does not fit; the message names source and key.
        """
        with meant_as('mask file', source):
            check_value(content['tasks'], list[str], 'tasks')
            for key, hint in (('scheme', str), ('seed', int), ('keep_ratio', float)):
                check_value(content[key], hint, key)
            tasks = tuple(content['tasks'])
            layers = {}
            for name, entry in content['layers'].items():
                rows = [decode_row(row, entry['units']) for row in entry['rows']]
                if len(rows) != len(tasks):
                    raise ValueError(f'layers.{name}: {len(rows)} rows for {len(tasks)} tasks')
                layers[name] = np.stack(rows)
            return cls(tasks, layers, *(content[key] for key in ('scheme', 'seed', 'keep_ratio')))

    def to_file(self, path: str | Path) -> None:
        """Write as JSON."""
        write_json(path, self.content())

    @classmethod
    def from_file(cls, path: str | Path) -> MaskTable:
        """Read a file.

        Raises:
            FileNotFoundError, ValueError: No such file, or not a mask file.
        """
        return cls.from_content(read_json(path, 'mask file'), path)


def encode_row(row: np.ndarray) -> str:
    """Run lengths of a bool row: dropped, kept, dropped, ... channels; the first may be 0."""
    ends = np.flatnonzero(np.diff(row)) + 1
    bounds = [0] * (1 + bool(row[0])) + [*ends.tolist(), len(row)]
    return ' '.join(map(str, np.diff(bounds)))


def decode_row(text: str, units: int) -> np.ndarray:
    """The bool row of run lengths.

    Raises:
        ValueError: The lengths do not add up to ``units``.
    """
    runs = np.array(text.split(), int)
    if runs.min(initial=0) < 0 or runs.sum() != units:
        raise ValueError(f'run lengths add up to {runs.sum()}, the layer has {units} channels')
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


def _shown(value: Any) -> str:
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) < 90 else f'{text[:80]}...'
