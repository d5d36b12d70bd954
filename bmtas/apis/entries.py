"""Finished runs, grouped over their seeds: the rows of a comparison."""

from __future__ import annotations

import glob
import math
import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmtas.engine import RESULTS
from bmtas.evaluation import compare_results, load_results

BASELINE_METHOD = 'single'
_SEED = re.compile(r'(?<![a-z])(randomness\.)?seed[=_-]?\d+', re.IGNORECASE)


@dataclass(frozen=True)
class Value:
    """Mean and sample deviation (n - 1) over runs; the deviation of one run is None."""

    mean: float
    deviation: float | None = None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Value | None:
        """None if there are no values, or one is missing."""
        if not values or any(v is None or not math.isfinite(v) for v in values):
            return None
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), spread)

    def text(self, digits: int = 2, scale: float = 1.0) -> str:
        """``12.34 ± 0.05``."""
        text = f'{self.mean / scale:.{digits}f}'
        if self.deviation is not None:
            text += f' ± {self.deviation / scale:.{digits}f}'
        return text


@dataclass(frozen=True)
class Entry:
    """One row: runs that differ in their seed only.

    Args:
        name: What the row is called.
        method: Method of the first run, which gives the colour in the picture.
        runs: Contents of their ``results.json``.
        delta_m: Delta_m in percent, per run first, then averaged; None without a baseline.
    """

    name: str
    method: str
    runs: tuple[Mapping[str, Any], ...]
    delta_m: Value | None

    def value(self, key: str) -> Value | None:
        """A cost, one of ``COSTS``, over the runs; of one task it is the mean over tasks.

        Networks that store all their weights and skip no zeros need not say what they store and
        what is effective; latency must have been measured.
        """
        if key != 'madds_one_task':
            return Value.of([_cost(run, key, self.name) for run in self.runs])
        by_task = [run.get('madds_by_task') for run in self.runs]
        if not all(by_task):
            raise ValueError(f'{self.name}: key madds_by_task is missing; test the run again')
        return Value.of([statistics.fmean(found.values()) for found in by_task])

    def score(self, task: str) -> Value | None:
        """A task's score over the runs."""
        return Value.of([run['scores'][task] for run in self.runs])


def _cost(run: Mapping[str, Any], key: str, name: str) -> float:
    """A cost of one run; of costs by task the sum."""
    implied = dict(madds_effective=run['madds'], stored=4 * run['params'])
    found = run.get(key, implied.get(key))
    if found is None:
        raise ValueError(f'{name}: key {key} is missing; test the run again')
    return sum(found.values()) if isinstance(found, Mapping) else found


def find_results(path: str | Path) -> list[Path]:
    """The results files at, in or below a path.

    Args:
        path: A file, a folder, or a pattern of them such as ``work/seed*/permutation_*``.

    Raises:
        FileNotFoundError: No such path, or no results in it.
    """
    if not Path(path).exists() and glob.has_magic(str(path)):
        matching = sorted(glob.glob(str(path)))
        if not matching:
            raise FileNotFoundError(f'{path}: nothing matches this pattern')
        return [file for match in matching for file in find_results(match)]
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f'{path}: no such work dir')
    found = sorted(path.rglob(RESULTS))
    if not found:
        raise FileNotFoundError(f'{path}: no {RESULTS} in it; bmtas test writes it')
    return found


def seedless_folder(path: Path) -> tuple[str, ...]:
    """Parts of a results file's absolute folder without seeds, ``train`` and ``test``.

    Runs whose folders are equal in this sense differ in their seed only.
    """
    parts = [_SEED.sub('', part).strip(' ,_-') for part in path.absolute().parent.parts]
    # what stood on both sides of the seed
    parts = [re.sub(',{2,}', ',', part) for part in parts]
    return tuple(part for part in parts if part not in ('', 'train', 'test'))


def group_name(folder: Sequence[str], method: str) -> str:
    """Name of the row of a folder without seeds: method and last part."""
    return method if folder[-1] == method else f'{method} {folder[-1]}'


def _distinct_names(groups: Mapping[tuple[str, ...], list]) -> dict[tuple[str, ...], str]:
    """A name for each group; groups of one name get what their folders differ in.

    Raises:
        ValueError: A name given on the command line is that of another row.
    """
    by_name: dict[str, list[tuple[str, ...]]] = {}
    for key, runs in groups.items():
        name = key[0] if len(key) == 1 else group_name(key, runs[0]['method'])
        by_name.setdefault(name, []).append(key)
    names = {}
    for name, keys in by_name.items():
        if len(keys) > 1 and min(map(len, keys)) == 1:
            raise ValueError(f'two rows are called {name!r}; give one of them another NAME=')
        start = len(os.path.commonprefix(keys))
        rests = [key[start:] for key in keys]
        end = len(os.path.commonprefix([rest[::-1] for rest in rests]))
        for key, rest in zip(keys, rests):
            apart = '/'.join(rest[: len(rest) - end])
            names[key] = f'{name} ({apart})' if apart and len(keys) > 1 else name
    return names


def read_entries(
    work_dirs: Iterable[str], baseline: str | Path | None = None
) -> tuple[list[Entry], Mapping[str, Any] | None]:
    """Read all runs and group those whose folders differ in their seed only.

    Args:
        work_dirs: Folders or results files, or patterns of them; each may be given a name,
            ``NAME=FOLDER``: all runs in the folders of one name are one row, such as several draws
            of permuted trees.
        baseline: Results of single-task networks. By default the mean over the runs of method
            ``single``, if there are any; else each run's own ``delta_m`` stands.

    Returns:
        The entries by rising MAdds, and the baseline.

    Raises:
        FileNotFoundError: A folder without results.
        ValueError: Runs that cannot be compared: other tasks, scores, convention or image size;
            or a given name that is another row's, too.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    seen: set[Path] = set()
    first: tuple[Path, Mapping[str, Any]] | None = None
    for argument in work_dirs:
        name, path = _split_name(argument)
        for file in find_results(path):
            if file.resolve() in seen:
                continue
            seen.add(file.resolve())
            run = load_results(file)
            run.setdefault('method', file.parent.name)
            first = first or (file, run)
            _check_comparable(file, run, *first)
            key = (name,) if name else seedless_folder(file)
            groups.setdefault(key, []).append(run)
    if not groups:
        raise ValueError('compare: no work dirs given')
    reference = load_results(baseline) if baseline else _mean_single(groups)
    names = _distinct_names(groups)
    entries = [
        Entry(
            names[key],
            runs[0]['method'],
            tuple(runs),
            Value.of([_gain(run, reference) for run in runs]),
        )
        for key, runs in groups.items()
    ]
    return sorted(entries, key=lambda e: (e.value('madds').mean, e.name)), reference


def _split_name(argument: str) -> tuple[str | None, str]:
    """``NAME=FOLDER``; a folder whose own name holds an equals sign stays whole."""
    name, sign, path = str(argument).partition('=')
    if sign and '/' not in name and not Path(argument).exists():
        return name, path
    return None, str(argument)


def _check_comparable(
    file: Path, run: Mapping[str, Any], first_file: Path, first: Mapping[str, Any]
) -> None:
    for key in ('madds', 'params'):
        if not isinstance(run.get(key), int):
            raise ValueError(f'{file}: key {key!r} is missing; test the run again')
    for key in ('score_names', 'higher_is_better', 'convention', 'input_size'):
        if run.get(key) != first.get(key):
            raise ValueError(
                f'{file}: {key} is {run.get(key)}, but {first_file} has {first.get(key)}; '
                'only runs with the same tasks, counting convention and image size compare'
            )


def _mean_single(groups: Mapping[Any, list]) -> Mapping[str, Any] | None:
    runs = [run for found in groups.values() for run in found if run['method'] == BASELINE_METHOD]
    if not runs:
        return None
    scores = {t: statistics.fmean(run['scores'][t] for run in runs) for t in runs[0]['scores']}
    return {**runs[0], 'scores': scores}


def _gain(run: Mapping[str, Any], reference: Mapping[str, Any] | None) -> float | None:
    return run.get('delta_m') if reference is None else compare_results(run, reference)
