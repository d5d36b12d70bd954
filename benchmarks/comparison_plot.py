"""Draw the picture of docs/comparison.md from its table, whose runs may lie elsewhere.

python benchmarks/comparison_plot.py docs/comparison.md docs/images/comparison.png
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from bmtas.files import read_text
from bmtas.visualization import draw_comparison

GAIN = 'Delta_m (%)'


def points_of(text: str) -> tuple[list[dict], list[str]]:
    """Points of the first table of ``bmtas compare`` in a page, and the names on its front.

    Raises:
        ValueError: No such table.
    """
    lines = [line for line in text.splitlines() if line.startswith('| ')]
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]
    heads = next((row for row in rows if row[0] == 'method' and row[-1] == GAIN), None)
    if heads is None:
        raise ValueError(f'no table with the columns method ... {GAIN}')
    table = [dict(zip(heads, row)) for row in rows if len(row) == len(heads) and row != heads]
    points = []
    for row in table:
        (cost, cost_std), (gain, gain_std) = (_value(row[key]) for key in ('GMAdds', GAIN))
        spread = dict(cost_std=cost_std, delta_m_std=gain_std)
        points.append(dict(name=row['method'], method=row['method'], cost=cost, delta_m=gain))
        points[-1].update(spread)
    front = [row['method'] for row in table if row[GAIN].endswith('*')]
    return points, front


def _value(cell: str) -> tuple[float, float | None]:
    """Mean and deviation of a cell like ``0.53 ± 0.52 *``."""
    numbers = [float(number) for number in re.findall(r'[-+]?\d+\.?\d*', cell)]
    return numbers[0], numbers[1] if len(numbers) > 1 else None


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('page', type=Path)
    parser.add_argument('picture', type=Path)
    args = parser.parse_args(argv)
    points, front = points_of(read_text(args.page))
    draw_comparison(points, front, args.picture, unit=1.0)


if __name__ == '__main__':
    main()
