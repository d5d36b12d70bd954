"""Thresholds of operators, and the file that keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmtas.files import meant_as, read_json, write_json
from bmtas.typed import check_value

VERSION = 1
TASK, TEMPORAL = 'task', 'temporal'
"""Kinds of a reference: the base network at the same image, the own network a frame before."""


class Thresholds:
    """tau for each kind of reference, task and operator.

    Args:
        values: One number for all, or kind -> task -> operator (``layers.3.attn.qkv``) -> number.
        rows: Whether rows are meant.
        network: Hash of the network that they were made for; '' for any.

    Raises:
        ValueError: A negative threshold or one that is no number.
    """

    def __init__(
        self,
        values: float | Mapping[str, Mapping[str, Mapping[str, float]]],
        rows: bool = False,
        network: str = '',
        where: str = 'model.encoder.thresholds',
    ) -> None:
        self.values, self.rows, self.network, self.where = values, rows, network, where
        for path, value in _leaves(values):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ValueError(f'{where}: {path}{value!r} is no threshold, it must be >= 0')

    def tau(self, kind: str, task: str, op: str) -> float:
        """The threshold of one operator.

        Raises:
            ValueError: There is none.
        """
        if not isinstance(self.values, Mapping):
            return float(self.values)
        try:
            return float(self.values[kind][task][op])
        except KeyError:
            raise ValueError(
                f'{self.where}: no {kind} threshold for operator {op!r} of task {task!r}; is the '
                'file for other layers? make it anew with bmtas calibrate'
            ) from None

    def check(self, tasks: list[str], ops: list[str], rows: bool) -> None:
        """Refuse a file for other tasks, other layers, or rows instead of elements."""
        if not isinstance(self.values, Mapping):
            return
        if self.rows != rows:
            has, wants = ('rows', 'elements') if self.rows else ('elements', 'rows')
            raise ValueError(
                f'{self.where}: made for {has}, the encoder thresholds {wants}; set '
                f'model.encoder.rows={self.rows} or calibrate anew'
            )
        for task in tasks:
            for op in ops:
                self.tau(TASK, task, op)

    def check_network(self, network: str) -> None:
        """Refuse a network other than the file's own."""
        if self.network and self.network != network:
            raise ValueError(
                f'{self.where}: made for network {self.network}, this one is {network}; make it '
                'anew with bmtas calibrate'
            )

    def save(self, path: str | Path, **more: Any) -> None:
        """Write the file (JSON)."""
        write_json(
            path,
            dict(
                version=VERSION,
                network=self.network,
                rows=self.rows,
                **more,
                thresholds=self.values,
            ),
        )


def _leaves(values: Any, path: str = '') -> list[tuple[str, Any]]:
    if not isinstance(values, Mapping):
        return [(path, values)]
    return [leaf for key, value in values.items() for leaf in _leaves(value, f'{path}{key}: ')]


def load_thresholds(source: Any) -> Thresholds | None:
    """Thresholds of a config: None, a number, a file, or Thresholds.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Damaged, of a newer version, or with a faulty value.
    """
    if source is None or isinstance(source, Thresholds):
        return source
    if not isinstance(source, (str, Path)):
        return Thresholds(source)
    data = read_json(source, 'thresholds')
    if not isinstance(data, Mapping) or not {'version', 'network', 'rows', 'thresholds'} <= {*data}:
        raise ValueError(f'{source}: thresholds: not a file of bmtas calibrate')
    if data['version'] != VERSION:
        raise ValueError(
            f'{source}: version: {data["version"]} is unknown here (this is {VERSION}); update '
            'bmtas or calibrate anew'
        )
    with meant_as('thresholds', source):
        check_value(data['rows'], bool, 'rows')
        check_value(data['network'], str, 'network')
        where = f'thresholds: {source}'  # else the file's name would read like a key
        return Thresholds(data['thresholds'], data['rows'], data['network'], where)
