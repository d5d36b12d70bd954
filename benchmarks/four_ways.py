"""Ways of sharing computation on one plot: gain against relative cost, each by its own baseline.

    python benchmarks/four_ways.py --out docs/images/four_ways.png \\
        'branching=docs/earlier_comparison.md:shared;fafs_1;bmtas_1;fafs_2;bmtas_2' \\
        'task routing=docs/earlier_comparison.md:routed_50;routed_75' \\
        'computation sharing=benchmarks/sharing_results.json:sparse5;rank8;rank8 rows50' \\
        'network codes=docs/ncp.md:joint, mean;joint, worst'

Every way has its own encoder, so that neither scores nor multiply-adds compare. What does is how
much cheaper and how much better each way makes its own networks: cost relative to the baseline, and
Delta_m against it. A source is a folder with runs, a table that ``bmtas compare`` has written, the
results of ``sharing_comparison.py``, or the table of ``ncp_tables.py``; names behind a colon choose
rows. The baseline is the row ``single``, of a folder also the ``results.json`` that is named, of
network codes the row ``start``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from statistics import mean, stdev

from bmtas.apis import read_entries
from bmtas.evaluation import delta_m
from bmtas.files import read_json, read_text
from bmtas.resources.report import markdown
from bmtas.visualization import draw_comparison

sys.path.insert(0, str(Path(__file__).parent))
from sharing_table import complete

COST = 'madds_effective'
"""Multiply-adds; of networks that skip zeros those that they do not skip."""
BASELINE = 'single'
FIRST = {'method': BASELINE, 'edit': 'start'}
"""Head of the first column of a table, and the row that the others are set against."""


def of_folder(way: str, folder: str, baseline: str | None) -> list[dict]:
    """One point for each row of ``bmtas compare``."""
    entries, reference = read_entries([folder], baseline)
    if reference is None:
        raise ValueError(f'{way}: {folder} has no run of method single; name a --baseline')
    whole = reference.get(COST, reference['madds'])
    found = []
    for entry in entries:
        cost, gain = entry.value(COST), entry.delta_m
        spread = None if cost.deviation is None else cost.deviation / whole
        found.append(
            point(way, entry.name, len(entry.runs), cost.mean / whole, spread)
            | dict(delta_m=gain.mean, delta_m_std=gain.deviation)
        )
    return found


def of_table(way: str, path: str) -> list[dict]:
    """One point for each row of a Markdown table with Delta_m, or with scores of edited codes."""
    lines = [line for line in read_text(path).splitlines() if line.startswith('| ')]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]
    at = next((i for i, row in enumerate(rows) if row[0] in FIRST and 'GMAdds' in row), None)
    if at is None:
        raise ValueError(f'{way}: {path} has no table of bmtas compare or ncp_tables.py')
    heads, name = rows[at], rows[at][0]
    table = [
        dict(zip(heads, row)) for row in takewhile(lambda r: len(r) == len(heads), rows[at + 1 :])
    ]
    costs = {row[name]: _value(row['GMAdds']) for row in table}
    if FIRST[name] not in costs:
        raise ValueError(f'{way}: {path} has no row {FIRST[name]}')
    whole, found = costs[FIRST[name]][0], []
    if name == 'edit':
        scores = {row[name]: {t: _value(row[t])[0] for t in heads[1:-1]} for row in table}
        start = scores[FIRST[name]]
        better = dict.fromkeys(start, True)
        return [
            point(way, edit, 1, costs[edit][0] / whole)
            | dict(delta_m=delta_m(own, start, better), delta_m_std=None)
            for edit, own in scores.items()
        ]
    for row in table:
        cost, spread = costs[row['method']]
        gain, deviation = _value(row['Delta_m (%)'])
        found.append(
            point(way, row['method'], int(row['runs']), cost / whole, spread and spread / whole)
            | dict(delta_m=gain, delta_m_std=deviation)
        )
    return found


def of_sharing(way: str, path: str) -> list[dict]:
    """One point for each network of ``sharing_comparison.py``, by what it executes."""
    seeds = [complete(rows) for rows in read_json(path, 'results').values() if BASELINE in rows]
    found = []
    for name in dict.fromkeys(name for rows in seeds for name in rows):
        runs = [rows[name] for rows in seeds if name in rows]
        whole = seeds[0][BASELINE]['madds']['executed']
        gains = [run['delta_m'] for run in runs]
        found.append(
            point(way, name, len(runs), mean(r['madds']['executed'] for r in runs) / whole)
            | dict(delta_m=mean(gains), delta_m_std=stdev(gains) if len(gains) > 1 else None)
        )
    return found


def point(way: str, name: str, runs: int, cost: float, spread: float | None = None) -> dict:
    """What ``draw_comparison`` takes, without the gain."""
    return dict(name=name, method=way, runs=runs, cost=cost, cost_std=spread)


def _value(cell: str) -> tuple[float, float | None]:
    """Mean and deviation of a cell such as ``0.53 ± 0.52 *``."""
    numbers = [float(text) for text in re.findall(r'[-+]?\d+\.?\d*', cell)]
    return numbers[0], numbers[1] if len(numbers) > 1 else None


def points_of(way: str, source: str, baseline: str | None = None) -> list[dict]:
    """Points of a source, see above.

    Raises:
        FileNotFoundError: No results there.
        ValueError: No baseline, or no such row.
    """
    path, _, names = source.partition(':')
    if path.endswith('.md'):
        found = of_table(way, path)
    else:
        found = of_sharing(way, path) if path.endswith('.json') else of_folder(way, path, baseline)
    chosen = names.split(';') if names else [p['name'] for p in found]
    by_name = {p['name']: p for p in found}
    absent = [name for name in chosen if name not in by_name]
    if absent:
        raise ValueError(f'{way}: {path} has no row {absent[0]!r}; there are {", ".join(by_name)}')
    return [by_name[name] for name in chosen]


def table(points: Sequence[Mapping]) -> str:
    """Markdown."""
    rows = [
        [
            point['method'],
            point['name'],
            str(point['runs']),
            f'{point["cost"]:.2f}',
            f'{point["delta_m"]:+.2f}',
            '' if point['delta_m_std'] is None else f'{point["delta_m_std"]:.2f}',
        ]
        for point in points
    ]
    return markdown(['way', 'network', 'runs', 'relative cost', 'Delta_m (%)', 'deviation'], rows)


def _named(words: Sequence[str]) -> dict[str, str]:
    """NAME=PATH ... as a table."""
    pairs = [word.partition('=') for word in words]
    for word, (name, _, path) in zip(words, pairs):
        if not name or not path:
            raise ValueError(f'{word!r} is not of the form WAY=PATH')
    return {name: path for name, _, path in pairs}


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'ways',
        nargs='+',
        metavar='WAY=SOURCE[:ROW,...]',
        help='rows with commas: separated by semicolons',
    )
    parser.add_argument('--baseline', nargs='+', default=[], metavar='WAY=FILE')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE.png')
    args = parser.parse_args(argv)
    try:
        ways, baselines = _named(args.ways), _named(args.baseline)
        points = [p for way, path in ways.items() for p in points_of(way, path, baselines.get(way))]
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    print(table(points))
    draw_comparison(points, [], args.out, 'cost relative to the baseline of each way', 1.0)


if __name__ == '__main__':
    main()
