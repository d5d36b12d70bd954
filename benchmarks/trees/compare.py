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
import regressions as fit
import strategies as play
from merit import bootstrap, calibration, figures
from protocol import Outcome, Trial

from bmtas.search.tree_table import TreeTable

DEFAULT = 'default of SurrogateSearch'
LONG = 'log losses, twice as long'
SEARCHES = (
    'as it is',
    "the paper's cost",
    'no warm-up',
    'log losses',
    LONG,
    'two candidates',
)
STRATEGIES: dict[str, play.Strategy] = {
    DEFAULT: fit.default(),
    'random, in expectation': play.average,
    'vanilla': play.vanilla,
    'best of 3': play.best_of_random(3),
    'best of 6': play.best_of_random(6),
    'best of 12': play.best_of_random(12),
    'surrogate, 32 quarter, own schedule': fit.surrogate(32, 0.25, own=True),
    'surrogate, 24 half, own schedule': fit.surrogate(24, 0.5, own=True),
    'surrogate, 48 quarter, own schedule': fit.surrogate(48, 0.25, own=True),
    'surrogate, 6 full': fit.surrogate(6, 1.0),
    'surrogate, 12 half': fit.surrogate(12, 0.5),
    'surrogate, 24 quarter': fit.surrogate(24, 0.25),
    'surrogate, 12 full': fit.surrogate(12, 1.0),
    'surrogate, 24 half': fit.surrogate(24, 0.5),
    'surrogate, 48 quarter': fit.surrogate(48, 0.25),
    'surrogate, 24 full': fit.surrogate(24, 1.0),
    'surrogate, 48 half': fit.surrogate(48, 0.5),
    'surrogate, 24 half, pairs only': fit.surrogate(24, 0.5, forms=('pairs',)),
    'its trees with tasks permuted': play.permuted(fit.surrogate(24, 1.0)),
    'surrogate, 24 half, race of 4': fit.race(24, 0.5),
    'rounds, 8 and 4 x 2 full': fit.thompson(8, 4, 2, 1.0),
    'rounds, 8 and 4 x 2 halves, own schedule': fit.thompson(8, 4, 2, 0.5),
    'rounds, 12 and 6 x 2 halves, own schedule': fit.thompson(12, 6, 2, 0.5),
    'uniform supergraph, best': fit.uniform_supergraph(None),
    'uniform supergraph, regression': fit.uniform_supergraph(32),
    'FAFS': play.fafs,
    'BMN': play.bmn,
    **{f'BMTAS, argmax, {name}': play.bmtas_argmax(name) for name in SEARCHES},
    **{f'BMTAS, decoded, {name}': play.bmtas_decoded(name) for name in SEARCHES},
    'BMTAS, argmax, log losses, twice as long, half the lambdas': play.bmtas_argmax(LONG, every=2),
    'BMTAS, decoded, log losses, twice as long, half the lambdas': play.bmtas_decoded(
        LONG, every=2
    ),
    'BMTAS, one search decoded': play.bmtas_decoded('as it is', which=3),
    'split probes': fit.probes,
    'two-task trainings': play.two_task,
    'all trees, one seed': play.one_seed,
    'optimum': play.optimum,
}
DRAWN = (DEFAULT, 'surrogate', 'its trees', 'rounds', 'uniform')
BY_TREE = ('short', 'supergraph')
COLUMNS = ('units', 'normalised', 'equal', 'regret', 'percentile', 'rank', 'correlation', 'bias')


def play_all(
    trials: list[Trial],
    groups: list[int],
    repetitions: int,
    only: tuple[str, ...] = ('',),
    against: str = DEFAULT,
) -> dict[str, dict]:
    """Figures over all trials of the strategies whose names begin with one of ``only``.

    That which is named ``against`` is compared with each of those after it on the trials that both
    can play.
    """
    result, first = {}, None
    minus = 'default_minus' if against == DEFAULT else 'reference_minus'
    chosen = {name: strategy for name, strategy in STRATEGIES.items() if name.startswith(only)}
    for name, strategy in chosen.items():
        repeats = repetitions if name.startswith(DRAWN) else 1
        rows = [_repeated(trial, strategy, repeats) for trial in trials]
        played = [number for number, row in enumerate(rows) if row is not None]
        if not played:
            continue
        places = [group for row, group in zip(rows, groups) if row is not None]
        result[name] = _summary([rows[number] for number in played], places)
        if name == against:
            first = rows
        elif first is not None:
            result[name][minus] = _difference(first, rows, groups)
        print(_line(name, result[name]), flush=True)
    return result


def _difference(
    first: list[dict | None], rows: list[dict | None], groups: list[int]
) -> tuple[float, float, float] | None:
    """Mean difference of normalised gains and its interval on trials that both have played."""
    pairs = [
        (one['normalised'] - other['normalised'], group)
        for one, other, group in zip(first, rows, groups)
        if one is not None and other is not None
    ]
    return _interval([values for values, _ in pairs], [place for _, place in pairs])


def _interval(
    differences: list[np.ndarray], places: list[int]
) -> tuple[float, float, float] | None:
    """Bootstrap over tables; over budgets if there is one table alone."""
    if not differences:
        return None
    cells = np.repeat(places, [len(values) for values in differences])
    values = np.concatenate(differences)
    return bootstrap(values, cells if len(set(places)) > 1 else np.arange(len(values)))


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


def _summary(rows: list[dict[str, np.ndarray]], places: list[int]) -> dict:
    """Means over trials and budgets, and the interval of the difference to best of n."""
    all_rows = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    summary = {key: _mean(values) for key, values in all_rows.items()}
    summary['tables'] = len(set(places))
    if np.isfinite(all_rows['units']).all():
        differences = [row['normalised'] - row['bar'] for row in rows]
        summary['against_best_of_n'] = _interval(differences, places)
    return summary


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _line(name: str, summary: dict) -> str:
    cells = ['' if summary[key] is None else f'{summary[key]:.2f}' for key in COLUMNS]
    minus = summary.get('default_minus', summary.get('reference_minus'))
    versus = [summary.get('against_best_of_n'), minus]
    texts = ['' if found is None else _range(*found) for found in versus]
    line = f'{name:44s}' + ''.join(f'{cell:>12s}' for cell in cells)
    return line + ''.join(f'{text:>24s}' for text in texts)


def _range(mean: float, low: float, high: float) -> str:
    return f'{mean:+.2f} [{low:+.2f}, {high:+.2f}]'


def draw(result: dict[str, dict], path: Path) -> None:
    """Regret against search cost."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    rows = {name: row for name, row in result.items() if row['units']}
    height = max(5, 0.16 * len(rows))  # of the legend
    figure, axes = plt.subplots(figsize=(9, height), layout='constrained')
    families = {DEFAULT: '*', 'surrogate': 's', 'BMTAS': '^', '': 'D'}
    used = dict.fromkeys(families, 0)  # colours, which differ within a family
    for name, row in rows.items():
        if not name.startswith('best of'):
            family = next(start for start in families if name.startswith(start))
            color, size = plt.get_cmap('tab20')(used[family] % 20), 14 if family == DEFAULT else 7
            used[family] += 1
            point = row['units'], row['regret']
            axes.plot(*point, families[family], color=color, markersize=size, label=name)
    bar = [row for name, row in rows.items() if name.startswith('best of')]
    if bar:
        points = [(row['units'], row['regret']) for row in bar]
        axes.plot(*zip(*points), 'k.-', label='best of n')
    if 'random, in expectation' in result:
        axes.axhline(result['random, in expectation']['regret'], color='grey', linestyle=':')
    axes.set(xscale='log', xlabel='search cost (trainings of Shared)', ylabel='regret (points)')
    figure.legend(loc='outside right upper', fontsize=7)
    figure.savefig(path, dpi=110)


def _beside(table: Path, kind: str) -> dict[str, np.ndarray] | None:
    """What ``planted_search.py`` or a script of signals left beside a table."""
    path = table.with_suffix(f'.{kind}.npz')
    if not path.is_file():
        return None
    with np.load(path) as stored:
        return dict(stored)


def _of_trees(signals: dict[str, np.ndarray], numbers: list[int]) -> dict[str, np.ndarray]:
    """The signals of some trees of the table; those of all trees have (..., N, T)."""
    chosen = {name: signals[name][..., numbers, :] for name in BY_TREE if name in signals}
    return {**signals, **chosen}


def trials_of(
    path: Path,
    seeds: int | None = None,
    budgets: int | None = None,
    complete: int | None = None,
) -> list[Trial]:
    """One search with each of the first seeds of a table, of the trees that have no gaps.

    Args:
        path: Of the table.
        seeds: To search with; all by default.
        budgets: See ``Trial``.
        complete: Number of seeds that a tree must have been trained with, see ``TreeTable``.
    """
    table = TreeTable.load(path)
    whole = table.complete(complete)
    signals = _beside(path, 'signals')
    signals = signals and _of_trees(signals, [table.index[tree] for tree in whole.trees])
    columns = range(whole.test.shape[1])[:seeds]
    searches = _beside(path, 'searches')
    return [Trial(whole, seed, budgets, searches, signals) for seed in columns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('tables', type=Path, nargs='+')
    parser.add_argument('--seeds', type=int, help='of each table, to search with; all by default')
    parser.add_argument('--repetitions', type=int, default=20)
    parser.add_argument('--budgets', type=int, help='quantiles of the cost; every cost by default')
    parser.add_argument('--complete', type=int, metavar='SEEDS', help='that a tree must have')
    parser.add_argument('--only', nargs='+', default=[''], help='beginnings of their names')
    parser.add_argument('--against', choices=list(STRATEGIES), default=DEFAULT, metavar='NAME')
    parser.add_argument('--out', type=Path)
    parser.add_argument('--picture', type=Path)
    args = parser.parse_args()
    trials, groups = [], []
    for number, path in enumerate(args.tables):
        try:
            found = trials_of(path, args.seeds, args.budgets, args.complete)
        except (ValueError, FileNotFoundError) as error:
            parser.error(str(error))
        trials += found
        groups += [number] * len(found)
    num_trees = len(trials[-1].table.routes)
    print(f'{len(args.tables)} tables, {len(trials)} searches, {num_trees} trees')
    titles = ''.join(f'{key:>12s}' for key in COLUMNS)
    title = f'{"default" if args.against == DEFAULT else "reference"} minus it'
    print(f'{"":44s}{titles}{"minus best of n":>24s}{title:>24s}')
    result = play_all(trials, groups, args.repetitions, tuple(args.only), args.against)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + '\n')
    if args.picture:
        draw(result, args.picture)


if __name__ == '__main__':
    main()
