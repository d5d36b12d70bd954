"""Print results of ``compare.py`` as the tables of docs/tree_benchmark.md.

    python benchmarks/trees/tables.py RESULT.json [RESULT.json]

One result gives a table with all figures, two the same rows side by side.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FIGURES = ('normalised', 'equal', 'regret', 'percentile', 'rank')
DIFFERENCES = {'against_best_of_n': 'minus best of n', 'default_minus': 'default minus it'}


def markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A table; the names of the results stand in its head where there are several."""
    rows = {name: row for result in results.values() for name, row in result.items()}
    figures = FIGURES if len(results) == 1 else ('normalised',)
    columns = [(title, key) for title in results for key in (*figures, *DIFFERENCES)]
    heads = [DIFFERENCES.get(key, key) for _, key in columns]
    for number, (title, key) in enumerate(columns):
        if len(results) > 1 and key == figures[0]:
            heads[number] = f'{title}: {key}'
    lines = [['strategy', 'units', *heads], ['---'] * (2 + len(columns))]
    for name, row in rows.items():
        units = row['units'] if row['units'] is not None else float('inf')
        cells = [_cell(results[title].get(name, {}), key) for title, key in columns]
        lines.append([name, f'{units:.0f}' if units < 1e9 else '', *cells])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cell(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None or row['units'] in (None, 0) and key == 'against_best_of_n':
        return ''
    if isinstance(value, Sequence):
        return '{:+.2f} [{:+.2f}, {:+.2f}]'.format(*value)
    return f'{value:.0f}' if key == 'percentile' else f'{value:.2f}'


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('results', type=Path, nargs='+')
    args = parser.parse_args(argv)
    print(markdown({path.stem: json.loads(path.read_text()) for path in args.results}))


if __name__ == '__main__':
    main()
