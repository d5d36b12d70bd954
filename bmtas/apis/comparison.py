"""Lay finished runs side by side: means over seeds, Delta_m, the Pareto front."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bmtas.apis.entries import Entry, Value, read_entries
from bmtas.branching import pareto_front
from bmtas.evaluation import Line, digest, mean_of
from bmtas.resources import UNITS, markdown

_MADDS, _PARAMS, _BYTES = (UNITS[name] for name in ('madds', 'params', 'activations'))
COSTS: Mapping[str, tuple[str, float]] = dict(
    madds=(_MADDS.label, _MADDS.scale),
    params=(_PARAMS.label, _PARAMS.scale),
    madds_one_task=(f'{_MADDS.label}, one task', _MADDS.scale),
    madds_effective=(f'effective {_MADDS.label}', _MADDS.scale),
    stored=(f'{_BYTES.label} stored', _BYTES.scale),
    latency_ms=('latency (ms)', 1.0),
)
"""What gains can be set against: its name in tables and pictures, and the unit."""


def on_front(entries: Sequence[Entry], cost: str = 'madds') -> list[Entry]:
    """The entries on the Pareto front of a mean cost and mean Delta_m."""
    rated = [entry for entry in entries if entry.delta_m is not None]
    costs = np.array([entry.value(cost).mean for entry in rated])
    gains = np.array([entry.delta_m.mean for entry in rated])
    best = pareto_front(costs, -gains)
    on = {(costs[index], gains[index]) for index in best}  # equal rows all stand on it
    order = sorted(range(len(rated)), key=lambda index: costs[index])
    return [rated[index] for index in order if (costs[index], gains[index]) in on]


def shown_lines(entries: Sequence[Entry]) -> list[Line]:
    """The columns of scores: all tasks, or of many the worst and the best on average."""
    first = entries[0].runs[0]
    known = {task: [entry.score(task) for entry in entries] for task in first['score_names']}
    means = {task: mean_of(s and s.mean for s in scores) for task, scores in known.items()}
    return digest(means, first['score_names'], first['higher_is_better'])


def comparison_table(entries: Sequence[Entry], cost: str = 'madds') -> str:
    """Markdown; an asterisk marks the Pareto front of a cost."""
    lines = shown_lines(entries)
    front = {entry.name for entry in on_front(entries, cost)}
    # MAdds of all tasks and parameters have columns anyway
    more = [] if cost in ('madds', 'params') else [cost]
    if cost == 'madds_effective':
        more.append('latency_ms')  # what is effective on paper stands beside what was measured
    titles = [_title(line) for line in lines]
    keys = ('madds', 'params', *more)
    header = ['method', 'runs', *(COSTS[key][0] for key in keys), *titles, 'Delta_m (%)']
    digits = {key: _digits(entries, key) for key in keys}
    rows = []
    for entry in entries:
        scores = [Value.of([line.value(run['scores']) for run in entry.runs]) for line in lines]
        gain = entry.delta_m
        mark = ' *' if entry.name in front else ''
        rows.append(
            [
                entry.name,
                str(len(entry.runs)),
                *(_cell(entry, key, digits[key]) for key in keys),
                *('-' if s is None else s.text(4 if abs(s.mean) < 1 else 2) for s in scores),
                '-' if gain is None else gain.text() + mark,
            ]
        )
    return markdown(header, rows)


def _title(line: Line) -> str:
    arrow = '↑' if line.higher else '↓'
    # the column of the mean before them names the score
    extreme = line.rank in ('worst', 'best')
    return f'{line.label} {arrow}' if extreme else f'{line.label} {line.score} {arrow}'


def _known(entry: Entry, key: str) -> bool:
    return key != 'latency_ms' or all(key in run for run in entry.runs)


def _digits(entries: Sequence[Entry], key: str) -> int:
    """Decimals of a column: three, and two significant digits of its smallest value."""
    means = [entry.value(key).mean / COSTS[key][1] for entry in entries if _known(entry, key)]
    least = min((mean for mean in means if mean > 0), default=1.0)
    return max(3, 1 - math.floor(math.log10(least)))


def _cell(entry: Entry, key: str, digits: int) -> str:
    return entry.value(key).text(digits, COSTS[key][1]) if _known(entry, key) else '-'


def compare(work_dirs: Iterable[str], baseline: str | Path | None = None) -> str:
    """The Markdown table of finished runs; see ``read_entries`` for the arguments."""
    return comparison_table(read_entries(map(str, work_dirs), baseline)[0])


def comparison_csv(entries: Sequence[Entry]) -> str:
    """One line per entry, mean and deviation in columns of their own, full precision."""
    tasks = list(entries[0].runs[0]['score_names'])
    columns = ['madds', 'params', *tasks, 'delta_m']
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(
        ['name', 'method', 'runs', *(f'{c}_{part}' for c in columns for part in ('mean', 'std'))]
    )
    for entry in entries:
        values = [entry.value('madds'), entry.value('params'), *map(entry.score, tasks)]
        cells = [(None, None) if v is None else (v.mean, v.deviation) for v in
                 [*values, entry.delta_m]]  # fmt: skip
        writer.writerow([entry.name, entry.method, len(entry.runs), *(x for c in cells for x in c)])
    return stream.getvalue()
