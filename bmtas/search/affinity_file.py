"""Affinities between tasks as a file, so that another budget needs no second measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bmtas.files import meant_as, read_json
from bmtas.search.context import SearchContext


def save_affinity(context: SearchContext, affinity: np.ndarray, locations: Sequence[str]) -> None:
    """Write ``affinity.json``: (D, T, T) with the names of locations and tasks."""
    content = dict(
        version=1,
        tasks=list(context.names),
        locations=list(locations),
        affinity=affinity.tolist(),
    )
    path = context.save('affinity.json', content)
    context.log(f'affinity between the tasks in {path}')


def read_affinity(path: str | Path, tasks: Sequence[str]) -> np.ndarray:
    """Affinity (D, T, T) of an earlier run, in the order of ``tasks``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, or one of other tasks.
    """
    path = Path(path)
    content = read_json(path, 'search.affinity:')
    with meant_as('search.affinity:', path):
        names, affinity = list(content['tasks']), np.array(content['affinity'], float)
        if sorted(names) != sorted(tasks) or affinity.shape[1:] != (len(names),) * 2:
            raise ValueError(f'it is for tasks {names}, not {list(tasks)}')
        order = [names.index(task) for task in tasks]
        return affinity[:, order][:, :, order]
