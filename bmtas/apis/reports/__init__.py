"""One HTML file about some runs: scores, trees over time, curves, predictions, nothing linked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bmtas.apis.reports import collect
from bmtas.engine import RESULTS
from bmtas.evaluation import digest, mean_of
from bmtas.files import read_json, write_text
from bmtas.resources import UNITS
from bmtas.search import BRANCHING, PICTURES
from bmtas.typed import check_value

KEYS = {
    'tasks': Sequence[str],
    'scores': Mapping[str, float | None],
    'score_names': Mapping[str, str],
    'higher_is_better': Mapping[str, bool],
    'params': float | None,
}
"""What a report needs of results.json, and its types."""


def report(work_dirs: Sequence[str | Path], out: str | Path) -> Path:
    """Write a report about the searches and tests in some folders and below them.

    Args:
        work_dirs: Work dirs of searches, trainings and tests.
        out: HTML file to write.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: No folders, nothing to report in them, or a damaged file.
    """
    if not work_dirs:
        raise ValueError('no work dirs: name at least one')
    searches, tests, sheets, logs = [], [], [], []
    for folder in map(Path, work_dirs):
        if not folder.is_dir():
            raise FileNotFoundError(f'work dir {folder} does not exist')
        searches += sorted(path.parent for path in folder.rglob(BRANCHING))
        tests += sorted(folder.rglob(RESULTS))
        logs += sorted({path.parents[2] for path in folder.rglob('vis_data/scalars.json')})
        sheets += sorted(folder.rglob(f'{PICTURES}/predictions*.png'))
    searches, tests, sheets, logs = (
        list(dict.fromkeys(found)) for found in (searches, tests, sheets, logs)
    )
    if not searches and not tests and not logs:
        names = ', '.join(map(str, work_dirs))
        raise ValueError(f'{names}: neither {RESULTS} nor {BRANCHING} nor a log there')
    write_text(out, _page(searches, tests, sheets, logs))
    return Path(out)


def _page(
    searches: Sequence[Path], tests: Sequence[Path], sheets: Sequence[Path], logs: Sequence[Path]
) -> str:
    charts: list[dict[str, Any]] = []

    def number(found: Mapping[str, Any]) -> dict[str, Any]:
        first = len(charts)
        charts.extend(found['charts'])
        return {**found, 'charts': range(first, len(charts))}

    runs = [_read(path) for path in tests]
    found = [collect.search_of(folder) for folder in searches]
    trained = {str(f): collect.training_of(f) for f in logs if f not in searches}
    values = dict(
        table=_table(tests, runs) if tests else None,
        searches=[number(search) for search in found],
        trainings=[number(dict(folder=f, charts=c)) for f, c in trained.items() if c],
        classes=[entry for p, run in zip(tests, runs) for entry in collect.classes_of(p, run)],
        sheets=[dict(collect.embedded(path), folder=str(path.parent.parent)) for path in sheets],
        origins=[collect.origin_of(folder) for folder in dict.fromkeys([*searches, *logs])],
    )
    drawn = ('tasks', 'layers', 'colours', 'steps')
    data = dict(charts=charts, searches=[{key: s[key] for key in drawn} for s in found])
    pages = Environment(
        loader=PackageLoader('bmtas.apis.reports', '.'), autoescape=True, undefined=StrictUndefined
    )
    parts = {k: pages.loader.get_source(pages, f'report.{k}')[0] for k in ('css', 'js')}
    template = pages.get_template('template.html')
    return template.render(**values, **parts, data=collect.page_data(data))


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, 'results file')
    missing = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f'{path}: key {missing[0]!r} is missing; bmtas test writes this file')
    for key, hint in KEYS.items():
        check_value(content[key], hint, f'{path}: {key}')
    return content


def _column(head: str, note: str, values: Sequence[Any], sign: int, form: str) -> dict[str, Any]:
    """A column of the table of results: a head, and a cell for each run."""
    known = [sign * value for value in values if value is not None]
    best = sign * max(known) if len(known) > 1 else None
    cells = [
        dict(text='–' if v is None else f'{v:{form}}', best=v is not None and v == best)
        for v in values
    ]
    return dict(head=head, note=note, cells=cells)


def _columns(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = dict.fromkeys(
        (task, run['score_names'][task], run['higher_is_better'][task])
        for run in runs
        for task in run['tasks']
    )
    # one task may have been scored in two ways
    named = {f'{task}/{score}': (task, score, higher) for task, score, higher in keys}
    by_run = [
        {
            name: run['scores'].get(task) if run['score_names'].get(task) == score else None
            for name, (task, score, _) in named.items()
        }
        for run in runs
    ]
    columns = []
    for line in digest(
        {name: mean_of([scores[name] for scores in by_run]) for name in named},
        {name: score for name, (_, score, _) in named.items()},
        {name: higher for name, (_, _, higher) in named.items()},
    ):
        head = line.label.removesuffix(f'/{line.score}').replace('_', ' ')
        values = [line.value(scores) for scores in by_run]
        note = f'{line.score} {"↑" if line.higher else "↓"}'
        columns.append(_column(head, note, values, 1 if line.higher else -1, '.4g'))
    gains = [run.get('delta_m') for run in runs]
    if any(gain is not None for gain in gains):
        columns.append(_column('Delta_m', '% ↑', gains, 1, '+.2f'))
    for key in ('madds', 'params'):
        unit = UNITS[key]
        values = [run[key] / unit.scale if run.get(key) else None for run in runs]
        if any(value is not None for value in values):
            columns.append(_column(unit.label, '↓', values, -1, '.4g'))
    return columns


def _table(paths: Sequence[Path], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = _columns(runs)
    rows = [
        dict(
            method=run.get('method', ''),
            folder=str(path.parent),
            cells=[column['cells'][number] for column in columns],
        )
        for number, (path, run) in enumerate(zip(paths, runs))
    ]
    sizes = {tuple(run.get('input_size') or ()) for run in runs}
    note = ''
    if len(sizes) == 1 and all(sizes):
        note = f'MAdds at an input of {" x ".join(map(str, next(iter(sizes))))} pixels.'
    return dict(columns=columns, rows=rows, note=note)
