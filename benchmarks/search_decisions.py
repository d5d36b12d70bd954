"""When a search decided what: one row for each search, one column for each layer.

    python benchmarks/search_decisions.py WORK_DIR...

Reads ``history.jsonl`` of finished searches. A cell holds the number of groups of the argmax tree
at the end and, in brackets, after which part of the alpha updates that number no longer changed
(0 %: as it was when alpha began to move). Also printed: the mean entropy of the tasks' choices
after the first alpha phase (nats, at most ln K); 0 means that the layer is decided.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bmtas.resources.report import markdown
from bmtas.search.gradient import ALPHA, HISTORY, WARMUP, read_history


def decisions(rows: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Number of groups of each layer at the end, and the share of alpha's time it took.

    Args:
        rows: The history; alpha does not move in rows of other phases.

    Raises:
        ValueError: No row of an alpha phase.
    """
    moving = [row for row in rows if row['phase'] == ALPHA]
    if not moving:
        raise ValueError(f'{HISTORY}: no row of an alpha phase; a smaller interval reports more')
    before = [row for row in rows if row['phase'] == WARMUP][-1:]
    course = [row['groups'] for row in [*before, *moving]]
    found = []
    for layer, number in enumerate(rows[-1]['groups']):
        # first report from which on the number stayed; the one before alpha moved counts as none
        stable = max(
            (i + 1 for i, groups in enumerate(course) if groups[layer] != number), default=0
        )
        updates = stable + (1 - len(before)) if stable else 0
        found.append((number, updates / len(moving)))
    return found


def early_entropy(rows: list[dict[str, Any]]) -> list[float]:
    """Entropy of each layer after the first alpha phase."""
    phases = [row['phase'] for row in rows]
    start = phases.index(ALPHA)
    end = next((i for i in range(start, len(rows)) if phases[i] != ALPHA), len(rows)) - 1
    return rows[end]['entropy']


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dirs', nargs='+', type=Path, metavar='WORK_DIR')
    args = parser.parse_args()
    decided, entropies = [], []
    for folder in args.work_dirs:
        path = folder / HISTORY
        if not path.is_file():
            parser.error(f'{path}: not found, {folder} holds no search')
        rows = read_history(path)
        name = [str(folder), f'{rows[-1]["cost_tree"]:.3f}']
        decided.append([*name, *(f'{n} ({share:.0%})' for n, share in decisions(rows))])
        entropies.append([*name, *(f'{v:.2f}' for v in early_entropy(rows))])
    layers = [str(i) for i in range(len(decided[0]) - 2)]
    print('groups at the end (part of the alpha updates after which they stayed):\n')
    print(markdown(['search', 'cost', *layers], decided))
    print('\nentropy after the first alpha phase:\n')
    print(markdown(['search', 'cost', *layers], entropies))


if __name__ == '__main__':
    main()
