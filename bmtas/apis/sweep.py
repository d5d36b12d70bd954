"""A series of runs over a grid of options: search, train, test, one folder for each point."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bmtas.engine import PROGRAM, RESULTS, Job, checkpoints_of, job_environment
from bmtas.files import read_json, write_json
from bmtas.folder_lock import FolderLock
from bmtas.typed import check_value

POINT, LOG = 'point.json', 'sweep.log'


@dataclass(frozen=True)
class Point:
    """One point of the grid and all that is needed to run it.

    Args:
        name: Its folder below the sweep's, e.g. ``lambda=0.5,seed=1``.
        folder: Path of that folder.
        method: What the results are called: key ``method`` of the first config, else its folder.
        search: Config of the search, or None.
        train: Config of the (re)training.
        options: ``key=value`` of the grid, for the first of the two; the seed for both.
        train_options: More options of the training.
        extra: Arguments for every tool, e.g. ``--data-root``.
        baseline: Results of single-task networks, or None.
    """

    name: str
    folder: str
    method: str
    search: str | None
    train: str
    options: tuple[str, ...]
    train_options: tuple[str, ...]
    extra: tuple[str, ...]
    baseline: str | None

    def is_finished(self) -> bool:
        """Whether the point has been tested."""
        return (Path(self.folder) / RESULTS).is_file()

    def to_file(self) -> None:
        """Write ``point.json`` into the point's folder.

        Raises:
            ValueError: The folder holds a point with other configs or options, whose stages must
                not be taken for this one's.
        """
        if (Path(self.folder) / POINT).is_file():
            before = self.from_folder(self.folder)
            for field in _IDENTITY:
                old, new = getattr(before, field), getattr(self, field)
                if _same(old) != _same(new):
                    raise ValueError(
                        f'{self.name}: {self.folder} was begun with {field} {_shown(old)}, not '
                        f'{_shown(new)}; give another --work-dir, or delete the folder'
                    )
        write_json(Path(self.folder) / POINT, asdict(self))

    @classmethod
    def from_folder(cls, folder: str | Path) -> Point:
        """Read the point of a folder.

        Raises:
            FileNotFoundError: The folder is not one of a sweep.
        """
        path = Path(folder) / POINT
        if not path.is_file():
            raise FileNotFoundError(f'{path}: not found, {folder} is no point of a sweep')
        data = read_json(path, 'point of a sweep')
        check_value(data, cls, str(path))
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


# what must not change while a point is unfinished, or its results would be of two settings
_IDENTITY = ('search', 'train', 'options', 'train_options')


def _same(value: str | Sequence[str] | None) -> Any:
    """A config by its place, whichever way it is written."""
    return Path(value).resolve() if isinstance(value, str) else value


def _shown(value: str | Sequence[str] | None) -> str:
    return str(value) if isinstance(value, str) else ' '.join(value or ['(none)'])


def stages(point: Point) -> list[tuple[str, Callable[[], list[str]]]]:
    """Name and command of each stage; a command is made when the stages before it are done."""
    folder = Path(point.folder)
    seed = [option for option in point.options if option.startswith('randomness.seed=')]
    options = point.options if point.search is None else [*seed, *point.train_options]
    if point.search is None:
        options = [*options, *point.train_options]

    def tool(name: str, *args: str, options: Sequence[str] = ()) -> list[str]:
        command = [*PROGRAM, name, *args, *point.extra]
        return [*command, '--cfg-options', *options] if options else command

    def search() -> list[str]:
        place = ['--work-dir', str(folder / 'search'), '--resume']
        return tool('search', point.search, *place, options=point.options)

    def train() -> list[str]:
        args = [point.train, '--work-dir', str(folder / 'train'), '--resume']
        if point.search is not None:
            args += ['--branching', str(folder / 'search' / 'branching.json')]
        return tool('train', *args, options=options)

    def test() -> list[str]:
        found = checkpoints_of(folder / 'train')
        if not found:
            raise ValueError(f'{folder / "train"}: the training left no checkpoint')
        args = [point.train, str(found[0]), '--work-dir', str(folder / 'train')]
        args += ['--out', str(folder / f'.{RESULTS}'), '--losses']
        args += ['--baseline', point.baseline] if point.baseline else []
        return tool('test', *args, options=options)

    return [*([('search', search)] if point.search else []), ('train', train), ('test', test)]


def run_point(folder: str | Path, say: Callable[[str], Any] = print) -> None:
    """Run what is left of a point; a stage that has ended well is not run again.

    The tools' output goes to ``sweep.log``. The results get the point's method and name.

    Args:
        folder: The point's.
        say: Takes a line before and after each stage.

    Raises:
        ValueError: A stage failed; the message names it and the log. Or another process is
            running the point.
    """
    point = Point.from_folder(folder)
    if point.is_finished():
        return
    lock = FolderLock(folder)
    try:
        _run_stages(point, Path(folder), say)
    finally:
        lock.release()


def _run_stages(point: Point, folder: Path, say: Callable[[str], Any]) -> None:
    log = folder / LOG
    for name, command in stages(point):
        marker = folder / f'{name}.done'
        if marker.is_file() and name != 'test':
            continue
        arguments, start = command(), time.monotonic()
        say(f'{name}: running, its output is in {shlex.quote(str(log))}')
        with open(log, 'a') as stream:
            stream.write(f'\n$ {shlex.join(arguments)}\n')
            stream.flush()
            code = subprocess.run(
                arguments, stdout=stream, stderr=subprocess.STDOUT, env=job_environment()
            ).returncode
        if code:
            raise ValueError(f'{point.name}: {name} ended with code {code}, see {log}')
        say(f'{name}: done in {time.monotonic() - start:.0f} s')
        marker.touch()
    results = read_json(folder / f'.{RESULTS}', 'results file')
    results.update(method=point.method, sweep=dict(name=point.name, options=list(point.options)))
    write_json(folder / RESULTS, results)
    (folder / f'.{RESULTS}').unlink()


def job_of(point: Point) -> Job:
    """The point as a job of ``run_jobs``; its ``point.json`` must have been written."""
    return Job(
        point.name,
        Path(point.folder),
        lambda: [[*PROGRAM, 'sweep', '--point', point.folder]],
        point.is_finished,
        log=LOG,
        run=lambda: run_point(point.folder),
    )
