"""Time of the best tree for every budget, by number of tasks.

    python benchmarks/tree_optimum.py [--layers 18] [--max-tasks 8] [--exhaustive]

Scores are those of a random affinity between tasks, costs are random; one thread.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from bmtas.branching import count_trees, partition_scores, tree_front


def random_scores(num_layers: int, num_tasks: int, rng: np.random.Generator) -> np.ndarray:
    """Mean over groups of the greatest dissimilarity within the group, (L, Bell)."""
    distance = rng.random((num_layers, num_tasks, num_tasks))
    distance = np.maximum(distance, distance.transpose(0, 2, 1))

    def score(layer: int, groups: tuple[tuple[int, ...], ...]) -> float:
        worst = [
            max((distance[layer, i, j] for i in group for j in group if i < j), default=0.0)
            for group in groups
        ]
        return sum(worst) / len(worst)

    return partition_scores(score, num_layers, num_tasks)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time of the best tree for every budget.')
    parser.add_argument('--layers', type=int, default=18, help='number of layers')
    parser.add_argument('--max-tasks', type=int, default=8, help='largest number of tasks')
    parser.add_argument(
        '--exhaustive', action='store_true', help='also list all trees (up to five tasks) and check'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rng = np.random.default_rng(0)
    costs = rng.integers(30_000_000, 500_000_000, args.layers)
    table = Table(title=f'the best tree for every budget, {args.layers} layers')
    for column in ('tasks', 'trees', 'on the front', 'scores s', 'dp s', 'exhaustive s'):
        table.add_column(column, justify='right')
    for num_tasks in range(2, args.max_tasks + 1):
        start = time.process_time()
        scores = random_scores(args.layers, num_tasks, rng)
        scored = time.process_time()
        front = tree_front(costs, scores)
        done = time.process_time()
        listed = '-'
        if args.exhaustive and count_trees(args.layers, num_tasks) < 5_000_000:
            oracle = tree_front(costs, scores, method='exhaustive')
            listed = f'{time.process_time() - done:.3f}'
            assert np.array_equal(front.scores, oracle.scores)
        table.add_row(
            str(num_tasks),
            f'{count_trees(args.layers, num_tasks):,}',
            str(len(front)),
            f'{scored - start:.3f}',
            f'{done - scored:.3f}',
            listed,
        )
    Console().print(table)


if __name__ == '__main__':
    main()
