"""How far the affinities of BMN or FAFS agree between runs that differ in their seed.

    python benchmarks/affinity_noise.py AFFINITY_JSON AFFINITY_JSON...

For each location: the least and greatest affinity over pairs of tasks and runs; how much the same
pair differs between two runs, and two pairs within one run (mean absolute differences). An order
of the pairs means something where the first is clearly smaller than the second.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np

from bmtas.resources.report import markdown
from bmtas.search.affinity_file import read_affinity


def differences(pairs: np.ndarray) -> tuple[float, float]:
    """Mean absolute difference between runs and between pairs.

    Args:
        pairs: (runs, pairs) affinities at one location.
    """
    runs = np.mean([abs(a - b).mean() for a, b in combinations(pairs, 2)])
    within = np.mean([abs(a - b).mean() for a, b in combinations(pairs.T, 2)])
    return float(runs), float(within)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='+', metavar='AFFINITY_JSON')
    args = parser.parse_args()
    if len(args.files) < 2:
        parser.error('give the files of at least two runs')
    contents = [_read(parser, Path(file)) for file in args.files]
    tasks, locations = contents[0]['tasks'], contents[0]['locations']
    affinity = []
    for file, content in zip(args.files, contents):
        if content['locations'] != locations:
            parser.error(f'{file}: other locations than {args.files[0]}')
        affinity.append(read_affinity(file, tasks))
    rows = []
    upper = np.triu_indices(len(tasks), 1)
    for index, location in enumerate(locations):
        pairs = np.array([run[index][upper] for run in affinity])
        rows.append([location, *(f'{v:.2f}' for v in (pairs.min(), pairs.max()))])
        rows[-1] += [f'{v:.2f}' for v in differences(pairs)]
    print(markdown(['location', 'least', 'greatest', 'between runs', 'between pairs'], rows))


def _read(parser: argparse.ArgumentParser, file: Path) -> dict:
    if not file.is_file():
        parser.error(f'{file}: not found; bmtas search with BMN or FAFS writes it')
    return json.loads(file.read_text())


if __name__ == '__main__':
    main()
