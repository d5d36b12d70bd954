"""Compare strategies on tables of trees.

    python benchmarks/trees/compare.py TABLE.npz ... --out RESULT.json [--picture PICTURE.png]

prints a table and writes it as JSON. Several tables (one for each teacher) are one benchmark. With
``--seeds K`` the first K seeds of each table are searched with, one at a time; the truth is the
mean over all others. A strategy is left out where the tables lack what it needs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import strategies as play
from protocol import Outcome, Trial, bootstrap, calibration, figures

from bmtas.search.tree_table import TreeTable

SEARCHES = (
    'as it is',
    "the paper's cost",
    'no warm-up',
    'log losses',
    'log losses, twice as long',
)
STRATEGIES: dict[str, play.Strategy] = {
    'random, in expectation': play.average,
    'vanilla': play.vanilla,
    'best of 3': play.best_of_random(3),
    'best of 6': play.best_of_random(6),
    'best of 12': play.best_of_random(12),
    'surrogate, 6 full': play.surrogate(6, 1.0),
    'surrogate, 12 half': play.surrogate(12, 0.5),
    'surrogate, 24 quarter': play.surrogate(24, 0.25),
    'surrogate, 12 full': play.surrogate(12, 1.0),
    'surrogate, 24 half': play.surrogate(24, 0.5),
    'surrogate, 48 quarter': play.surrogate(48, 0.25),
    'surrogate, 24 full': play.surrogate(24, 1.0),
    'surrogate, 48 half': play.surrogate(48, 0.5),
    'surrogate, 24 half, pairs only': play.surrogate(24, 0.5, forms=('pairs',)),
    'its trees with tasks permuted': play.permuted(play.surrogate(24, 0.5)),
    'surrogate, 24 half, race of 4': play.race(24, 0.5),
    **{f'BMTAS, argmax, {name}': play.bmtas_argmax(name) for name in SEARCHES},
    **{f'BMTAS, decoded, {name}': play.bmtas_decoded(name) for name in SEARCHES},
    'BMTAS, one search decoded': play.bmtas_decoded('as it is', which=3),
    'split probes': play.probes,
    'two-task trainings': play.two_task,
    'all trees, one seed': play.one_seed,
    'optimum': play.optimum,
}
DRAWN = ('surrogate', 'its trees')
COLUMNS = ('units', 'normalised', 'equal', 'regret', 'percentile', 'rank', 'correlation', 'bias')


def play_all(
    trials: list[Trial], groups: list[int], repetitions: int, only: tuple[str, ...] = ('',)
) -> dict[str, dict]:
    """Figures over all trials of the strategies whose names begin with one of ``only``."""
    result = {}
    chosen = {name: strategy for name, strategy in STRATEGIES.items() if name.startswith(only)}
    for name, strategy in chosen.items():
        repeats = repetitions if name.startswith(DRAWN) else 1
        rows, places = [], []
        for trial, group in zip(trials, groups):
            found = _repeated(trial, strategy, repeats)
            if found is not None:
                rows.append(found)
                places += [group] * len(trial.budgets)
        if rows:
            result[name] = _summary(rows, np.array(places))
            print(_line(name, result[name]), flush=True)
    return result


def _repeated(trial: Trial, strategy: play.Strategy, repeats: int) -> dict[str, np.ndarray] | None:
    """Figures by budget, the mean over repetitions of the strategy's own draws."""
    found = []
    for repetition in range(repeats):
        outcome = strategy(trial, np.random.default_rng((trial.seed, repetition)))
        if outcome is None:
            return None
        found.append(figures(trial, outcome) | _calibrated(trial, outcome))
    return {key: np.mean([one[key] for one in found], 0) for key in found[0]}


def _calibrated(trial: Trial, outcome: Outcome) -> dict[str, np.ndarray]:
    if outcome.score is None or not np.isfinite(outcome.score).all():
        correlation = bias = np.nan
    else:
        correlation, bias = calibration(trial, outcome.score)
    ones = np.ones(len(trial.budgets))
    return dict(correlation=correlation * ones, bias=bias * ones)


def _summary(rows: list[dict[str, np.ndarray]], places: np.ndarray) -> dict:
    """Means over trials and budgets, and the interval of the difference to best of n."""
    all_rows = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    summary = {key: _mean(values) for key, values in all_rows.items()}
    differences = all_rows['normalised'] - all_rows['bar']
    groups = places if len(set(places)) > 1 else np.arange(len(places))
    if np.isfinite(all_rows['units']).all():
        summary['against_best_of_n'] = bootstrap(differences, groups)
    return summary


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _line(name: str, summary: dict) -> str:
    cells = ['' if summary[key] is None else f'{summary[key]:.2f}' for key in COLUMNS]
    versus = summary.get('against_best_of_n')
    text = '' if versus is None else '{:+.2f} [{:+.2f}, {:+.2f}]'.format(*versus)
    return f'{name:41s}' + ''.join(f'{cell:>12s}' for cell in cells) + f'   {text}'


def draw(result: dict[str, dict], path: Path) -> None:
    """Regret against search cost."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout='constrained')
    rows = {name: row for name, row in result.items() if row['units']}
    for number, (name, row) in enumerate(rows.items()):
        if not name.startswith('best of'):
            marker = 's' if name.startswith('surrogate') else 'D'
            color = plt.get_cmap('tab20')(number % 20)
            axes.plot(row['units'], row['regret'], marker, color=color, label=name)
    bar = [row for name, row in rows.items() if name.startswith('best of')]
    if bar:
        points = [(row['units'], row['regret']) for row in bar]
        axes.plot(*zip(*points), 'k.-', label='best of n')
    if 'random, in expectation' in result:
        axes.axhline(result['random, in expectation']['regret'], color='grey', linestyle=':')
    axes.set(xscale='log', xlabel='search cost (trainings of Shared)', ylabel='regret (points)')
    figure.legend(loc='outside right upper', fontsize=7)
    figure.savefig(path, dpi=110)


def _searches(table: Path) -> dict[str, np.ndarray] | None:
    """The gradient searches that ``planted_search.py`` left beside a table."""
    path = table.with_suffix('.searches.npz')
    if not path.is_file():
        return None
    with np.load(path) as stored:
        return dict(stored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('tables', type=Path, nargs='+')
    parser.add_argument('--seeds', type=int, help='of each table, to search with; all by default')
    parser.add_argument('--repetitions', type=int, default=20)
    parser.add_argument('--budgets', type=int, help='quantiles of the cost; every cost by default')
    parser.add_argument('--only', nargs='+', default=[''], help='beginnings of their names')
    parser.add_argument('--out', type=Path)
    parser.add_argument('--picture', type=Path)
    args = parser.parse_args()
    try:
        tables = [TreeTable.load(path).complete() for path in args.tables]
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    trials, groups = [], []
    for number, (path, table) in enumerate(zip(args.tables, tables)):
        seeds = range(table.test.shape[1])[: args.seeds]
        trials += [Trial(table, seed, args.budgets, _searches(path)) for seed in seeds]
        groups += [number] * len(seeds)
    print(f'{len(tables)} tables, {len(trials)} searches, {len(tables[0].routes)} trees')
    print(f'{"":41s}' + ''.join(f'{key:>12s}' for key in COLUMNS) + '   minus best of n [95 %]')
    result = play_all(trials, groups, args.repetitions, tuple(args.only))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + '\n')
    if args.picture:
        draw(result, args.picture)


if __name__ == '__main__':
    main()
