"""Ways of sharing computation on one plot: gain against relative cost, each by its own baseline.

    python benchmarks/four_ways.py --out PICTURE.png \\
        branching=work_dirs/comparison 'task routing=work_dirs/task_routing' \\
        --baseline 'task routing=work_dirs/task_routing/shared/results.json'

Every way has its own data, tasks and encoder, so that neither scores nor multiply-adds compare.
What does is how much cheaper and how much better each way makes its own networks: cost relative to
the baseline, and Delta_m against it. The baseline of a way is the mean of its runs of method
``single``, or the ``results.json`` that is named.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from bmtas.apis import read_entries
from bmtas.resources.report import markdown
from bmtas.visualization.comparison import draw_comparison

COST = 'madds_effective'
"""Multiply-adds; of networks that skip zeros those that they do not skip."""


def points_of(way: str, folder: str, baseline: str | None = None) -> list[dict]:
    """One point for each row of ``bmtas compare``.

    Args:
        way: Name of the way of sharing.
        folder: With the runs.
        baseline: A ``results.json``; by default the mean of the runs of method ``single``.

    Raises:
        FileNotFoundError: No results there.
        ValueError: No baseline.
    """
    entries, reference = read_entries([folder], baseline)
    if reference is None:
        raise ValueError(f'{way}: {folder} has no run of method single; name a --baseline')
    whole = reference.get(COST, reference['madds'])
    points = []
    for entry in entries:
        cost, gain = entry.value(COST), entry.delta_m
        spread = (cost.deviation, gain.deviation)
        points.append(
            dict(
                name=entry.name,
                method=way,
                cost=cost.mean / whole,
                cost_std=None if spread[0] is None else spread[0] / whole,
                delta_m=gain.mean,
                delta_m_std=spread[1],
                runs=len(entry.runs),
            )
        )
    return points


def table(points: Sequence[Mapping]) -> str:
    """Markdown."""
    rows = [
        [
            point['method'],
            point['name'],
            str(point['runs']),
            f'{point["cost"]:.3f}',
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
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('ways', nargs='+', metavar='WAY=FOLDER')
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
