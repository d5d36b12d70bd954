r"""The table and the plots of docs/computation_sharing.md from the results of its runs.

    python benchmarks/sharing_table.py benchmarks/sharing_results.json --out docs/images \
        --page docs/computation_sharing.md

prints the table and what the text says of densities and clips, draws the plots, and puts the table
into the page, in the place of the one that is there. Means over the seeds, with the standard
deviation where there are several; Delta_m is taken seed by seed against the ViTs from scratch of
the same seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from bmtas.branching import pareto_front
from bmtas.evaluation import compare_results
from bmtas.files import read_json
from bmtas.visualization import draw_comparison

BASE, MAIN, SINGLE = 'semseg', 'sparse5', 'single'
Row = Mapping[str, Any]


def baseline(rows: Mapping[str, Row]) -> dict[str, Any]:
    """The ViTs from scratch of one seed: the base, and those of the sub-tasks."""
    single, main = rows[SINGLE], rows[MAIN]
    keys = ('scores', 'score_names', 'higher_is_better')
    own = {key: {BASE: main[key][BASE], **single[key]} for key in keys}
    costs = {key: single[key] for key in ('madds', 'stored', 'latency_ms') if key in single}
    return own | costs


def complete(rows: Mapping[str, Row]) -> dict[str, dict[str, Any]]:
    """Rows of one seed that have all tasks, with Delta_m; the scores of others are printed."""
    reference, found = baseline(rows), {}
    for name, row in rows.items():
        own = reference if name == SINGLE else row
        if set(own.get('scores', {})) == set(reference['scores']):
            found[name] = dict(own, delta_m=compare_results(own, reference))
        elif 'scores' in own:
            print(f'{name}, a part of the tasks: {own["scores"]}')
    return found


def spread(values: list[float], digits: int) -> str:
    """Mean, and the deviation of several."""
    text = f'{mean(values):.{digits}f}'
    return text if len(values) < 2 else f'{text} ± {stdev(values):.{digits}f}'


def by_name(seeds: list[dict[str, dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Each row's results of all seeds."""
    names = dict.fromkeys(name for rows in seeds for name in rows)
    return {name: [rows[name] for rows in seeds if name in rows] for name in names}


def table(found: Mapping[str, list[dict[str, Any]]]) -> str:
    """The table of the page, a line for each row."""
    tasks = list(found[SINGLE][0]['scores'])
    heads = ('', 'seeds', *tasks, 'Delta_m %', 'dense', 'effective', 'executed', 'ms', 'MB')
    lines = ['| ' + ' | '.join(heads) + ' |', '|' + '---|' * len(heads)]
    for name, rows in found.items():

        def column(value: Callable[[dict], float], digits: int = 0, rows: list = rows) -> str:
            return spread([value(row) for row in rows], digits)

        cells = [name, str(len(rows))]
        cells += [column(lambda r, t=t: r['scores'][t], 3 if t == 'depth' else 2) for t in tasks]
        cells.append(column(lambda r: r['delta_m'], 1))
        cells += [f'{rows[0]["madds"][k] / 1e6:.0f}' for k in ('dense', 'effective', 'executed')]
        timed = [sum(row['latency_ms'].values()) for row in rows if 'latency_ms' in row]
        cells += [f'{mean(timed):.1f}' if timed else '', f'{rows[0]["stored"] / 1e6:.1f}']
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def with_table(text: str, lines: str) -> str:
    """A page with these lines in the place of its table, which begins with the same header."""
    start = text.index(lines.splitlines()[0])
    end = text.index('\n\n', start)
    return text[:start] + lines + text[end:]


def places(rows: Mapping[str, Row], name: str) -> None:
    """Print the shares that differ in each place, averaged over the sub-tasks."""
    own = rows[name]['density']
    print(f'\n{name}: shares of elements and rows that differ, mean over the sub-tasks')
    for place in next(iter(own.values()))['by_place']:
        shares = [d['by_place'][place] for d in own.values() if place in d['by_place']]
        cells = [f'{mean(s[kind] for s in shares):.2f}' for kind in ('elements', 'rows')]
        print(f'| {place} | ' + ' | '.join(cells) + ' |')


def clips(name: str, row: Row) -> None:
    """Print the cost and the scores of clips."""
    for share, found in row.items():
        scores = {k: {t: round(s, 2) for t, s in own.items()} for k, own in found['scores'].items()}
        print(f'\n{name} {share}: {scores}')
        for kind, values in found['madds'].items():
            print(f'| {kind} | ' + ' | '.join(f'{value / 1e6:.0f}' for value in values) + ' |')


def draw(found: Mapping[str, list[dict[str, Any]]], out: Path) -> None:
    """Two plots: Delta_m against executed multiply-adds, and against the stored size."""
    axes: tuple[tuple[str, Callable[[dict], float], str], ...] = (
        ('madds', lambda r: r['madds']['executed'] / 1e6, 'executed MMAdds of all tasks'),
        ('size', lambda r: r['stored'] / 1e6, 'stored MB (fp32)'),
    )
    for name, cost, label in axes:
        points = [
            dict(
                name=key,
                method=key.split()[0],
                cost=mean(map(cost, rows)),
                delta_m=mean(r['delta_m'] for r in rows),
            )
            for key, rows in found.items()
            if name == 'madds' or ' ' not in key  # thresholds do not change what is stored
        ]
        best = pareto_front(
            np.array([p['cost'] for p in points]), -np.array([p['delta_m'] for p in points])
        )
        front = [points[index]['name'] for index in best]
        draw_comparison(points, front, out / f'sharing_{name}.png', label, 1)


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('results', type=Path)
    parser.add_argument('--out', type=Path, help='folder of the plots')
    parser.add_argument('--page', type=Path, help='page whose table is made anew')
    args = parser.parse_args(argv)
    data = read_json(args.results, 'results')
    found = by_name([complete(rows) for rows in data.values() if {SINGLE, MAIN} <= set(rows)])
    print(table(found))
    first = next(iter(data.values()))
    for name in (f'{MAIN} elements50', f'{MAIN} rows50', 'rank8 rows50'):
        if name in first:
            places(first, name)
    for name in ('clips', 'video'):
        clips(name, first.get(name, {}))
    if args.page is not None:
        args.page.write_text(with_table(args.page.read_text(), table(found)))
    if args.out is not None:
        draw(found, args.out)


if __name__ == '__main__':
    main()
