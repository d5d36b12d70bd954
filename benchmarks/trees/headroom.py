"""What there is to win, budget by budget: regret of chance, of best of n, of a look at all trees.

    python benchmarks/trees/headroom.py TABLE.npz ... [--seeds 2] [--budgets 10]

prints a table. The cost is that of the whole network, 1 is Shared; the regret is the points lost
against the best of all trees that cost no more, the mean over searches with each seed of each
table. 'all trees, one seed' is the ceiling of what one seed can tell.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from compare import STRATEGIES, trials_of
from merit import figures
from protocol import Trial

ROWS = ('random, in expectation', 'best of 3', 'best of 6', 'best of 12', 'all trees, one seed')


def headroom(trials: Sequence[Trial]) -> dict[str, np.ndarray]:
    """Regret (budgets,) by strategy, mean over the trials.

    Raises:
        ValueError: The trials have other budgets than each other.
    """
    if len({tuple(np.round(trial.budgets, 6)) for trial in trials}) > 1:
        raise ValueError('the tables have different budgets; give tables of one kind')
    rng = np.random.default_rng(0)  # none of them draws
    return {
        name: np.mean(
            [figures(trial, STRATEGIES[name](trial, rng))['regret'] for trial in trials], 0
        )
        for name in ROWS
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('tables', type=Path, nargs='+')
    parser.add_argument('--seeds', type=int, help='of each table, to search with; all by default')
    parser.add_argument('--budgets', type=int, help='quantiles of the cost; every cost by default')
    args = parser.parse_args(argv)
    try:
        trials = [t for path in args.tables for t in trials_of(path, args.seeds, args.budgets)]
        found = headroom(trials)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    first = trials[0]
    print('| cost | trees |', ' | '.join(ROWS), '|')
    print('|---' * (2 + len(ROWS)) + '|')
    shared = first.table.costs.min()
    for place, (budget, trees) in enumerate(zip(first.budgets, first.classes)):
        values = [f'{regret[place]:.2f}' for regret in found.values()]
        print(f'| {budget / shared:.2f} | {len(trees)} |', ' | '.join(values), '|')
    means = [f'{regret.mean():.2f}' for regret in found.values()]
    print('| all | |', ' | '.join(means), '|')


if __name__ == '__main__':
    main()
