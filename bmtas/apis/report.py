"""One HTML file about some runs: scores, costs, trees, curves, predictions, nothing linked."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bmtas.branching import BranchingTree
from bmtas.engine.results import RESULTS
from bmtas.files import read_json, write_text
from bmtas.search import BRANCHING, PICTURES
from bmtas.visualization import draw_tree

KEYS = ('tasks', 'scores', 'score_names', 'higher_is_better', 'madds', 'params')
CAPTIONS = dict(
    tree='The tree. A box is one copy of a layer, its number says how many tasks share it.',
    alpha='Probability of each candidate for each task, layer by layer.',
    curves='Cost, losses and temperature over the updates of the search.',
)
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #22303c; margin: 2rem auto; max-width: 76rem;
       padding: 0 1.5rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
h1, h2 { font-weight: 600; } code { font-size: 0.9em; color: #4477aa; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.9rem; text-align: right; border-bottom: 1px solid #e3e7ea;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 2px solid #22303c; font-weight: 600; }
th small { display: block; font-weight: 400; color: #8a97a3; }
td.best { font-weight: 700; color: #228833; }
figure { margin: 1.2rem 0; } figcaption { color: #5c6b78; font-size: 0.9rem; }
img { max-width: 100%; height: auto; }
"""


def write_report(work_dirs: Sequence[str | Path], out: str | Path) -> Path:
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
    searches, tests, sheets = [], [], []
    for folder in map(Path, work_dirs):
        if not folder.is_dir():
            raise FileNotFoundError(f'work dir {folder} does not exist')
        searches += sorted(path.parent for path in folder.rglob(BRANCHING))
        tests += sorted(folder.rglob(RESULTS))
        sheets += sorted(folder.rglob(f'{PICTURES}/predictions*.png'))
    searches, tests, sheets = (list(dict.fromkeys(found)) for found in (searches, tests, sheets))
    if not searches and not tests:
        names = ', '.join(map(str, work_dirs))
        raise ValueError(f'{names}: neither {RESULTS} nor {BRANCHING} there; run tools/test.py')
    parts = [_results(tests)] if tests else []
    parts += [_search(folder) for folder in searches]
    parts += [
        _section(f'Predictions {_code(path.parent.parent)}', _figure(path)) for path in sheets
    ]
    body = '\n'.join(parts)
    html = (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>bmtas report</title>\n<style>{STYLE}</style></head>\n'
        f'<body>\n<h1>bmtas report</h1>\n{body}\n</body>\n</html>\n'
    )
    write_text(out, html)
    return Path(out)


def _code(text: Any) -> str:
    return f'<code>{escape(str(text))}</code>'


def _section(title: str, body: str) -> str:
    return f'<section>\n<h2>{title}</h2>\n{body}\n</section>'


def _figure(path: Path, caption: str = '') -> str:
    data = base64.b64encode(path.read_bytes()).decode('ascii')
    text = f'<figcaption>{escape(caption)}</figcaption>' if caption else ''
    image = f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{data}">'
    return f'<figure>{image}{text}</figure>'


def _search(folder: Path) -> str:
    """Section of a search: its pictures; a tree without one is drawn."""
    pictures = folder / PICTURES
    names = [*CAPTIONS, *sorted(path.stem for path in pictures.glob('*.png'))]
    names = [name for name in dict.fromkeys(names) if not name.startswith('predictions')]
    figures = [
        _figure(pictures / f'{name}.png', CAPTIONS.get(name, name))
        for name in names
        if (pictures / f'{name}.png').is_file()
    ]
    if not (pictures / 'tree.png').is_file():
        with tempfile.TemporaryDirectory() as scratch:
            tree = BranchingTree.from_file(folder / BRANCHING)
            figures.insert(
                0, _figure(draw_tree(tree, Path(scratch) / 'tree.png'), CAPTIONS['tree'])
            )
    return _section(f'Search {_code(folder)}', '\n'.join(figures))


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, 'results file')
    missing = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f'{path}: key {missing[0]!r} is missing; tools/test.py writes this file')
    return content


class _Column:
    """One column of the table of results: a head, and a number for each run that has one."""

    def __init__(self, head: str, note: str, values: list, sign: int, form: str) -> None:
        self.head, self.note, self.values, self.form = head, note, values, form
        known = [sign * value for value in values if value is not None]
        self.best = sign * max(known) if len(known) > 1 and sign else None

    def cell(self, row: int) -> str:
        value = self.values[row]
        if value is None:
            return '<td>–</td>'
        mark = ' class="best"' if value == self.best else ''
        return f'<td{mark}>{value:{self.form}}</td>'


def _columns(runs: Sequence[Mapping[str, Any]]) -> list[_Column]:
    keys = dict.fromkeys(
        (task, run['score_names'][task], run['higher_is_better'][task])
        for run in runs
        for task in run['tasks']
    )
    columns = []
    for task, score, higher in keys:
        values = [
            run['scores'].get(task) if run['score_names'].get(task) == score else None
            for run in runs
        ]
        note = f'{score} {"↑" if higher else "↓"}'
        columns.append(_Column(task, note, values, 1 if higher else -1, '.4g'))
    gains = [run.get('delta_m') for run in runs]
    if any(gain is not None for gain in gains):
        columns.append(_Column('Δ<sub>m</sub>', '% ↑', gains, 1, '+.2f'))
    madds = [run['madds'] / 1e9 for run in runs]
    params = [run['params'] / 1e6 for run in runs]
    return [
        *columns,
        _Column('MAdds', '10⁹ ↓', madds, -1, '.4g'),
        _Column('parameters', '10⁶ ↓', params, -1, '.4g'),
    ]


def _results(paths: Sequence[Path]) -> str:
    runs = [_read(path) for path in paths]
    columns = _columns(runs)
    heads = ''.join(f'<th>{_head(c)}<small>{escape(c.note)}</small></th>' for c in columns)
    rows = []
    for number, (path, run) in enumerate(zip(paths, runs)):
        name = f'{escape(str(run.get("method", "")))} {_code(path.parent)}'
        rows.append(f'<tr><td>{name}</td>{"".join(c.cell(number) for c in columns)}</tr>')
    size = {tuple(run.get('input_size') or ()) for run in runs}
    note = ''
    if len(size) == 1 and all(size):
        note = f'<p>MAdds at an input of {" x ".join(str(n) for n in next(iter(size)))} pixels.</p>'
    table = f'<table>\n<tr><th>run</th>{heads}</tr>\n' + '\n'.join(rows) + '\n</table>'
    return _section('Results', f'<div class="wide">{table}</div>{note}')


def _head(column: _Column) -> str:
    return column.head if column.head.startswith('Δ') else escape(column.head.replace('_', ' '))
