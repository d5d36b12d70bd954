"""Do short trainings order trees as long ones do? Rank correlation given the cost, by table.

    python benchmarks/trees/short_schedules.py TABLE.npz ...

Gains on held-out samples after a share of the updates, once read off the usual schedule and once at
the end of a schedule of that length, against the gains at the end of the usual one: on held-out
samples with the same seed, and on test samples with the other seeds. Means over seeds and tables,
on the trees that were trained with both schedules.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from compare import trials_of
from protocol import Trial

from bmtas.search.surrogate import rank_given


def correlations(trial: Trial) -> Iterator[tuple[str, float, float]]:
    """Name of the losses, correlation with the same seed's full ones, with the truth."""
    full, costs = trial.gains(), trial.table.costs
    kinds, short = {'whole': trial.losses()}, trial.signal('short')
    for number, share in enumerate(trial.signals['shares'] if trial.signals else ()):
        kinds[f'{share:g} read off'] = trial.losses(share)
        if short is not None:
            kinds[f'{share:g} own schedule'] = short[number]
    known = np.all([np.isfinite(losses).all(1) for losses in kinds.values()], 0)
    for name, losses in kinds.items():
        gains = -100 * losses[known].mean(1)
        against = full[known], trial.truth[known]
        yield name, *(rank_given(gains, other, costs[known]) for other in against)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('tables', type=Path, nargs='+')
    parser.add_argument('--seeds', type=int, help='of each table, to look at; all by default')
    parser.add_argument('--complete', type=int, metavar='SEEDS', help='that a tree must have')
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    for path in args.tables:
        for trial in trials_of(path, args.seeds, None, args.complete):
            for name, *values in correlations(trial):
                found.setdefault(name, []).append(values)
    print(f'{"":22s}{"same seed":>12s}{"other seeds":>12s}')
    for name, values in found.items():
        print(f'{name:22s}' + ''.join(f'{value:12.2f}' for value in np.mean(values, 0)))


if __name__ == '__main__':
    main()
