"""Trees trained to be compared: each row is one training and its losses on held-out images.

A search keeps its rows in ``rows/`` of its work dir, one folder for each, so that an interrupted
search goes on where it was and another one uses them again. Rows of one seed see common random
numbers: the same heads and copies of layers at the start, the same order of images.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.engine import Job, run_jobs
from bmtas.files import meant_as, read_json, read_text, write_json, write_text
from bmtas.search.context import SearchContext
from bmtas.search.row import CONFIG, POOL, RESULT, ROW, Row, train_row

FOLDER = 'rows'
# keys of a config that do not change what a row finds
_FREE = ('work_dir', 'search', 'budget', 'resume', 'launcher', 'method', 'branching', 'resources')


@dataclass(frozen=True)
class Trained:
    """A row with what came out.

    Args:
        row: The row.
        losses: (T,) log losses on the held-out images; NaN for tasks that took no part.
        seconds: That the training took.
        affinity: (D, T, T) if it was measured, see ``TaskAffinityHook``.
    """

    row: Row
    losses: np.ndarray
    seconds: float
    affinity: np.ndarray | None = None


class Rows:
    """The rows of a search.

    Args:
        context: Of the search.
        held_out: Part of the training images that is kept for the measurement.

    Raises:
        ValueError: The config says nothing of updates, or the work dir has rows of another one.
    """

    def __init__(self, context: SearchContext, held_out: float = 0.2) -> None:
        self.context, self.folder = context, context.work_dir / FOLDER
        if not (context.cfg.get('train_cfg') or {}).get('max_iters'):
            raise ValueError('train_cfg.max_iters: missing, the updates of each training')
        content = context.cfg.to_dict()
        content['held_out'] = held_out
        text = ''.join(f'{k} = {v!r}\n' for k, v in content.items() if k not in _FREE)
        path = self.folder / CONFIG
        if path.is_file():
            _check_same(path, text)
        else:
            write_text(path, text)

    @property
    def length(self) -> int:
        """Updates of a training in full."""
        return self.context.cfg.train_cfg.max_iters

    def updates(self, share: float) -> int:
        """Updates of a share of it, at least one."""
        return max(1, round(self.length * share))

    def known(self) -> list[Trained]:
        """All finished rows in the work dir, in the order of their keys."""
        paths = sorted(self.folder.glob(f'*/{RESULT}'))
        return [self._read(Row.from_file(path.parent / ROW)) for path in paths]

    def train(self, rows: Sequence[Row], pool: np.ndarray | None = None) -> list[Trained]:
        """Train what is not finished; returns the rows' results in order.

        Args:
            rows: What to train.
            pool: (N, L, T) trees that a supergraph is trained on.

        Raises:
            ValueError: Some trainings failed.
        """
        for row in rows:
            if row.source == 'supernet' and not (self.folder / row.key / POOL).is_file():
                write_json(self.folder / row.key / POOL, pool.tolist(), indent=None)
        jobs = {row.key: self._job(row) for row in rows}
        outcomes = run_jobs(list(jobs.values()), self.context.executor, self.context.log)
        failed = [outcome.failure for outcome in outcomes.values() if outcome.failure]
        if failed:
            raise ValueError(
                f'{len(failed)} of {len(jobs)} trainings failed: {failed[0]}; start again with '
                '--resume to go on'
            )
        return [self._read(row) for row in rows]

    def _job(self, row: Row) -> Job:
        folder = self.folder / row.key
        if not (folder / ROW).is_file():
            row.to_file(folder / ROW)
        after = (row.start,) if row.start else ()
        command = [sys.executable, '-m', 'bmtas.search.row', str(folder)]
        return Job(
            row.key,
            folder,
            lambda: [command],
            (folder / RESULT).is_file,
            after,
            run=lambda: train_row(folder),
        )

    def _read(self, row: Row) -> Trained:
        path = self.folder / row.key / RESULT
        content = read_json(path, 'row of a search')
        with meant_as('row of a search', path):
            losses = [content['losses'].get(name, math.nan) for name in self.context.names]
            affinity = content.get('affinity')
            affinity = None if affinity is None else np.array(affinity, float)
            return Trained(row, np.array(losses, float), float(content['seconds']), affinity)


def _check_same(path: Path, text: str) -> None:
    old, new = read_text(path).splitlines(), text.splitlines()
    if old != new:
        line = next((b for a, b in zip(old, new) if a != b), (old + new)[-1])
        raise ValueError(
            f'{path}: the rows there are of another config, its {line.split(" = ")[0]!r} differs; '
            'give another --work-dir, or remove the folder'
        )


def spent(trained: Sequence[Trained], length: int) -> dict[str, Any]:
    """What trainings took: updates, seconds, and how many trainings of the Shared network.

    The last compares seconds; it is left out where no row is a Shared network of all tasks.
    """
    unique = {item.row.key: item for item in trained}.values()
    seconds = sum(item.seconds for item in unique)
    shared = [
        item.seconds / item.row.updates
        for item in unique
        if item.row.source == 'train' and not np.any(item.row.routes)
    ]
    found = dict(
        trainings=len(unique), updates=sum(i.row.updates for i in unique), training_seconds=seconds
    )
    if shared and min(shared) > 0:
        found['shared_trainings'] = float(seconds / (np.mean(shared) * length))
    return found


def gains(losses: np.ndarray, elasticities: np.ndarray) -> np.ndarray:
    """Points of gain (N,) of log losses (N, T), up to a constant."""
    return -100 * (losses * elasticities).mean(1)


def by_task(values: Mapping[str, float] | None, context: SearchContext) -> np.ndarray:
    """Elasticities (T,) from the key ``search.elasticities``; 1 where nothing is given."""
    unknown = set(values or {}) - set(context.names)
    if unknown:
        raise ValueError(
            f'search.elasticities: no task {sorted(unknown)[0]!r}, there are {list(context.names)}'
        )
    return np.array([float((values or {}).get(name, 1.0)) for name in context.names])
