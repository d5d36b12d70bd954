"""What a work dir holds, as plain values for the page of a report."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.branching import BranchingTree
from bmtas.engine import COMMANDS, read_lines
from bmtas.evaluation import MANY, extremes
from bmtas.files import meant_as, read_json, read_text
from bmtas.resources import ResourceTable, unit_named
from bmtas.search import BRANCHING, FRONT, PICTURES, as_shown
from bmtas.search.gradient import ALPHA_FILE, HISTORY
from bmtas.typed import check_value
from bmtas.visualization import task_colours

COSTS = dict(
    cost_exact=('expected cost', '#4477aa'),
    cost_sampled=('expected cost, sampled', '#4477aa'),
    cost_paper=('expected cost, form of the paper', '#ee8866'),
    cost_tree=('cost of the likeliest tree', '#228833'),
)
CAPTIONS = dict(pairs='How surely each pair of tasks stays together, layer by layer')
STEPS = 200
"""Moments of a search that the page keeps at most."""


def embedded(path: Path) -> dict[str, str]:
    """A PNG file as a data URL."""
    data = base64.b64encode(path.read_bytes()).decode('ascii')
    return dict(name=path.stem, data=f'data:image/png;base64,{data}')


def series(name: str, colour: str, points: Sequence[tuple[float, float | None]]) -> dict[str, Any]:
    """One line of a chart; what is no number leaves a gap."""
    values = [y if y is not None and math.isfinite(y) else None for _, y in points]
    return dict(name=name, colour=colour, x=[x for x, _ in points], y=values)


def chart(
    title: str,
    lines: Sequence[Mapping[str, Any]],
    ylabel: str = '',
    xlabel: str = 'update',
    log: bool = False,
) -> dict[str, Any] | None:
    """A chart of the lines that have two points or more; None if there is none.

    With ``log`` the axis is logarithmic if the values spread over more than a factor of 30.
    """
    lines = [line for line in lines if sum(y is not None for y in line['y']) > 1]
    if not lines:
        return None
    return dict(title=title, xlabel=xlabel, ylabel=ylabel, log=log, series=lines)


def search_of(folder: Path) -> dict[str, Any]:
    """A search: its tree over time, alpha, curves, front, costs of the layers, other pictures."""
    tree = BranchingTree.from_file(folder / BRANCHING)
    rows = read_lines(folder / HISTORY)
    table = _table(folder)
    layers = list(tree.layers or map(str, range(tree.num_layers)))
    steps = _steps(folder, tree, rows)
    label = '' if table is None else unit_named(table.unit).label
    found = dict(
        folder=str(folder),
        tasks=list(tree.tasks),
        layers=layers,
        colours=task_colours(tree.num_tasks),
        steps=steps,
        has_alpha=any(step.get('alpha') for step in steps),
        summary=f'{tree.num_tasks} tasks, {sum(tree.num_groups)} copies of {len(layers)} layers',
        charts=[c for c in (*_search_charts(rows, tree.tasks, label), _front(folder, tree)) if c],
        pictures=_other_pictures(folder),
        unit='',
        bars=[],
    )
    if table is not None and table.num_layers == tree.num_layers:
        unit = unit_named(table.unit)
        found |= dict(unit=unit.label, bars=_bars(tree, table, layers, unit.scale))
        shared, separate = (f'{v / unit.scale:.4g}' for v in (table.shared, table.separate))
        found['summary'] += (
            f'; {unit.exact(tree.cost(table), 4)} (all shared {shared}, all separate {separate})'
        )
    return found


def _table(folder: Path) -> ResourceTable | None:
    path = folder / 'resources.json'
    return ResourceTable.from_file(path) if path.is_file() else None


def _steps(folder: Path, tree: BranchingTree, rows: Sequence[Mapping]) -> list[dict[str, Any]]:
    """Routes, alpha and cost at some moments; the last is what was found."""
    known = [row for row in rows if 'routes' in row]
    picked = np.unique(np.linspace(0, len(known) - 1, min(STEPS, len(known))).astype(int))
    steps = [
        dict(
            update=row['update'],
            routes=row['routes'],
            alpha=row.get('probabilities'),
            cost=f'cost {row["cost_tree"]:.4g}' if 'cost_tree' in row else '',
        )
        for row in (known[i] for i in picked)
    ]
    last = dict(update=rows[-1]['update'] if rows else 0, routes=tree.routes.tolist(), cost='')
    if (folder / ALPHA_FILE).is_file():
        content = read_json(folder / ALPHA_FILE, 'alpha')
        with meant_as('alpha', folder / ALPHA_FILE):
            logits = np.array(content['alpha'], float)
            if logits.ndim != 3:
                raise ValueError(f'alpha: must be (L, T, K) numbers, got {logits.shape}')
        exponents = np.exp(logits - logits.max(-1, keepdims=True))
        last['alpha'] = (exponents / exponents.sum(-1, keepdims=True)).round(3).tolist()
    return [*steps, last]


def _search_charts(rows: Sequence[Mapping], tasks: Sequence[str], unit: str) -> list[dict | None]:
    def line(name: str, colour: str, key: str, part: str | None = None) -> dict[str, Any]:
        values = [(row.get(part) or {}).get(key) if part else row.get(key) for row in rows]
        return series(name, colour, [(row['update'], v) for row, v in zip(rows, values)])

    losses = [
        line(name, colour, f'loss_{name}', 'losses')
        for name, colour in zip(tasks, task_colours(len(tasks)))
    ]
    costs = [line(name, colour, key) for key, (name, colour) in COSTS.items()]
    return [
        chart('Cost of the network', costs, unit),
        chart('Losses of the search', losses, log=True),
        chart('Temperature', [line('temperature', '#aa3377', 'tau')]),
    ]


def _front(folder: Path, tree: BranchingTree) -> dict[str, Any] | None:
    """Score against cost with a band of one deviation, and the tree that the search took."""
    path = folder / FRONT
    if not path.is_file():
        return None
    content = read_json(path, 'front')
    with meant_as('front', path):
        unit = unit_named(content['unit'])
        check_value(content['score'], str, 'score')
        rows = sorted(content['trees'], key=lambda row: row['cost'])
        costs = [row['cost'] / unit.scale for row in rows]
        score, scores = as_shown(content['score'], [float(row['score']) for row in rows])
        unsure = [float(row.get('deviation', 0)) for row in rows]
        found = [i for i, r in enumerate(rows) if r['config'] == tree.routes.tolist()]
    lines = [series('trees', '#4477aa', list(zip(costs, scores)))]
    if any(unsure):
        for sign, name in ((1, 'one deviation above'), (-1, 'below')):
            edge = [value + sign * spread for value, spread in zip(scores, unsure)]
            lines.append(series(name, '#b4c6da', list(zip(costs, edge))))
    drawn = chart('Front: the best tree for every budget', lines, score, unit.label)
    if drawn and found:
        drawn['series'].append(series('found', '#cc3311', [(costs[found[0]], scores[found[0]])]))
    return drawn


def _other_pictures(folder: Path) -> list[dict[str, str]]:
    drawn = ('tree', 'alpha', 'curves', 'front')  # the page draws these itself
    paths = sorted((folder / PICTURES).glob('*.png'))
    others = [p for p in paths if p.stem not in drawn and not p.stem.startswith('predictions')]
    return [embedded(p) | dict(name=CAPTIONS.get(p.stem, p.stem)) for p in others]


def _bars(
    tree: BranchingTree, table: ResourceTable, layers: Sequence[str], factor: float
) -> list[dict[str, Any]]:
    groups = [1, *tree.num_groups]
    costs = [cost / factor for cost in (table.stem, *table.layers)]
    largest = max(cost * n for cost, n in zip(costs, groups)) or 1
    return [
        dict(
            name=name,
            one=round(100 * cost / largest, 2),
            more=round(100 * cost * (n - 1) / largest, 2),
            text=f'{cost * n:.3g}' + (f' ({n} copies)' if n > 1 else ''),
        )
        for name, cost, n in zip(['stem', *layers], costs, groups)
    ]


def _shown_losses(
    losses: Sequence[str], by_step: Mapping[int, Mapping[str, float]]
) -> tuple[list[str], str]:
    """The losses to draw: all, or of many the highest and the lowest ones at the end."""
    if len(losses) <= MANY:
        return list(losses), ''
    last: dict[str, float] = {}
    for step in sorted(by_step):
        last |= {key: by_step[step][key] for key in losses if key in by_step[step]}
    highest, lowest = extremes(last, higher=False)
    return sorted({*highest, *lowest}), f': highest and lowest of {len(losses)}'


def training_of(folder: Path) -> list[dict[str, Any]]:
    """Charts of the losses, the learning rate and the validation scores logged in a work dir."""
    rows = [
        row
        for path in sorted(folder.glob('*/vis_data/scalars.json'))
        for row in read_lines(path)
        if 'step' in row
    ]
    by_step: dict[int, dict[str, float]] = {}
    for row in rows:  # a resumed run logs some updates again: the last counts
        by_step.setdefault(int(row['step']), {}).update(row)
    # as they were logged: the order of the tasks, whose colours the other pictures have
    keys = list(dict.fromkeys(key for row in by_step.values() for key in row))

    def lines(chosen: Sequence[str], prefix: str = '') -> list[dict[str, Any]]:
        colours = task_colours(len(chosen))
        steps = sorted(by_step)
        return [
            series(key.removeprefix(prefix), c, [(s, by_step[s].get(key)) for s in steps])
            for key, c in zip(chosen, colours)
        ]

    losses, note = _shown_losses([key for key in keys if key.startswith('loss_')], by_step)
    charts = [chart(f'Training losses{note}', lines(losses, 'loss_'), log=True)]
    charts.append(chart('Learning rate', lines([k for k in keys if k in ('lr', 'weights.lr')])))
    for task in (key.removeprefix('loss_') for key in losses):
        scores = [key for key in keys if key.startswith(f'{task}/')]
        charts.append(chart(f'Validation of {task}', lines(scores, f'{task}/')))
    return [c for c in charts if c]


def classes_of(path: Path, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Scores of each class and confusion matrices in a results file."""
    found = []
    for task, entry in (run.get('classes') or {}).items():
        names, values = entry['names'], entry['scores']
        top = max([v for v in values if v is not None], default=1) or 1
        rows = [
            dict(name=n, text='–' if v is None else f'{v:.4g}', width=round(160 * (v or 0) / top))
            for n, v in zip(names, values)
        ]
        entry = dict(task=task, score=entry['score'], confusion=entry.get('confusion'))
        entry |= dict(folder=str(path.parent), rows=rows, names=names)
        found.append(dict(entry, confusion=_confusion(names, entry['confusion'])))
    return found


def _confusion(names: Sequence[str], counts: Sequence[Sequence[float]] | None) -> list[dict]:
    rows = []
    for name, row in zip(names, counts or ()):
        total = sum(row)
        shares = [100 * value / total if total else 0.0 for value in row]
        cells = [dict(shade=round(s / 100, 3), text=f'{s:.0f}' if s >= 0.5 else '') for s in shares]
        rows.append(dict(name=name, cells=cells))
    return rows


def origin_of(folder: Path) -> dict[str, str]:
    """Command lines, environment and config of a work dir, as text."""
    records = read_lines(folder / COMMANDS)
    environment = records[-1]['environment'] if records else {}
    configs = sorted(folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
    return dict(
        folder=str(folder),
        commands='\n'.join(f'{r["time"]}  {r["command"]}' for r in records),
        environment='\n'.join(f'{key:<16}{value}' for key, value in environment.items()),
        config=read_text(configs[-1]) if configs else '',
    )


def page_data(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, allow_nan=False).replace('<', '\\u003c')
