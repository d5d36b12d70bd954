"""Time of the best tree for every budget, by number of tasks.

    python benchmarks/tree_optimum.py [--layers 18] [--max-tasks 8] [--exhaustive]
    python benchmarks/tree_optimum.py --max-tasks 8 --beam 5 20 50 --many-tasks 20 40

Scores are those of BMN for a random affinity between tasks, costs are random; one thread. With
``--beam`` also what a beam search loses against the best tree, in percent of the best score, mean
and greatest over 30 budgets.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from bmtas.branching import TreeFront, count_trees, tree_front
from bmtas.search.bmn import GroupScores


def random_scores(num_layers: int, num_tasks: int, rng: np.random.Generator) -> GroupScores:
    """Mean over groups of the greatest dissimilarity within the group."""
    affinity = rng.random((num_layers, num_tasks, num_tasks))
    return GroupScores(np.minimum(affinity, affinity.transpose(0, 2, 1)))


def excess(found: TreeFront, best: TreeFront, shared_cost: float) -> np.ndarray:
    """How much higher than the best the scores are, in percent, for 30 budgets."""
    num_tasks = len(best.tasks)
    budgets = shared_cost * np.linspace(1.05, max(1.05, 0.95 * num_tasks), 30)
    pairs = [(found.scores[found.best(b)], best.scores[best.best(b)]) for b in budgets]
    return np.array([100 * (a - b) / b if b else 0.0 for a, b in pairs])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time of the best tree for every budget.')
    parser.add_argument('--layers', type=int, default=18, help='number of layers')
    parser.add_argument('--max-tasks', type=int, default=8, help='largest number of tasks')
    parser.add_argument(
        '--exhaustive', action='store_true', help='also list all trees (up to five tasks) and check'
    )
    parser.add_argument(
        '--beam', type=int, nargs='*', default=[], metavar='WIDTH', help='also beam searches'
    )
    parser.add_argument(
        '--many-tasks',
        type=int,
        nargs='*',
        default=[],
        metavar='T',
        help='numbers of tasks that only a beam search can take',
    )
    return parser.parse_args()


def timed(*args, **kwargs) -> tuple[TreeFront, float]:
    """A front and the processor time that it took, in seconds."""
    start = time.process_time()
    front = tree_front(*args, **kwargs)
    return front, time.process_time() - start


def main() -> None:
    """Measure and print."""
    args = parse_args()
    rng = np.random.default_rng(0)
    costs = rng.integers(30_000_000, 500_000_000, args.layers)
    table = Table(title=f'the best tree for every budget, {args.layers} layers')
    for column in ('tasks', 'trees', 'method', 'front', 'seconds', 'excess %', 'worst %'):
        table.add_column(column, justify='right', no_wrap=True)
    for num_tasks in [*range(2, args.max_tasks + 1), *args.many_tasks]:
        scores = random_scores(args.layers, num_tasks, rng)
        trees = f'{count_trees(args.layers, num_tasks):,}' if num_tasks < 10 else 'countless'
        best = None
        if num_tasks not in args.many_tasks:
            best, seconds = timed(costs, scores)
            table.add_row(str(num_tasks), trees, 'dp', str(len(best)), f'{seconds:.3f}')
            if args.exhaustive and count_trees(args.layers, num_tasks) < 5_000_000:
                oracle, seconds = timed(costs, scores, method='exhaustive')
                assert np.array_equal(best.scores, oracle.scores)
                table.add_row('', '', 'exhaustive', str(len(oracle)), f'{seconds:.3f}')
        for width in args.beam:
            found, seconds = timed(costs, scores, method='beam', beam_width=width)
            row = [str(num_tasks) if best is None else '', '' if best is not None else trees]
            row += [f'beam {width}', str(len(found)), f'{seconds:.3f}']
            if best is not None:
                loss = excess(found, best, costs.sum())
                row += [f'{loss.mean():.2f}', f'{loss.max():.2f}']
            table.add_row(*row)
    Console().print(table)


if __name__ == '__main__':
    main()
