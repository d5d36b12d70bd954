"""Random trees of a cost for any number of tasks, by merging groups one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bmtas.branching.tree import BranchingTree

TRIES = 50


class MergedTrees:
    """The trees whose cost lies within a tolerance of a target, drawn without listing any.

    A draw begins with all tasks apart and merges two random groups of a random layer that share
    the layer before, until the cost is in the window; there it stops or goes on by the toss of a
    coin. Every tree of the window can come out, some more often than others: ``TreesAtCost`` draws
    them uniformly, but only for few tasks.

    Args:
        table: Resource table (``stem``, ``layers``, ``heads``).
        tasks: T names.
        target: Cost of the whole network in the table's unit.
        tolerance: Relative: costs from (1 - tolerance) to (1 + tolerance) times the target.

    Raises:
        ValueError: No tree has such a cost.
    """

    def __init__(self, table, tasks: Sequence[str], target: float, tolerance: float = 0.02) -> None:
        self.tasks, self.layers = tuple(tasks), np.array(table.layers)
        fixed = table.stem + sum(table.heads[name] for name in tasks)
        slack = abs(target) * (tolerance + 1e-9)  # sums of floats depend on their order
        self.low, self.high = target - slack - fixed, target + slack - fixed
        cheapest, dearest = self.layers.sum(), len(tasks) * self.layers.sum()
        if self.high < cheapest or self.low > dearest:
            raise ValueError(
                f'no tree costs {target:,} within {tolerance:.1%}; '
                f'trees cost {fixed + cheapest:,} to {fixed + dearest:,}'
            )

    def sample(self, seed: int = 0) -> BranchingTree:
        """One of them.

        Raises:
            ValueError: None was met in ``TRIES`` draws.
        """
        rng = np.random.default_rng(seed)
        for _ in range(TRIES):
            routes = self._walk(rng)
            if routes is not None:
                return BranchingTree.from_routes(routes, self.tasks)
        raise ValueError(
            f'no tree was met whose layers cost {self.low:,.0f} to {self.high:,.0f} in {TRIES} '
            'draws: allow a larger tolerance'
        )

    def _walk(self, rng: np.random.Generator) -> np.ndarray | None:
        """Routes (L, T) in the window; None if every merge would leave it below."""
        num_layers, num_tasks = len(self.layers), len(self.tasks)
        routes = np.tile(np.arange(num_tasks), (num_layers, 1))
        groups, cost = np.full(num_layers, num_tasks), num_tasks * self.layers.sum()
        while cost > self.high or rng.random() < 0.5:
            above = np.concatenate([[1], groups[:-1]])
            free = np.flatnonzero((groups > above) & (cost - self.layers >= self.low))
            if not len(free):
                break
            layer = int(rng.choice(free))
            _merge(routes, layer, rng)
            groups[layer] -= 1
            cost -= self.layers[layer]
        return routes if cost <= self.high else None


def _merge(routes: np.ndarray, layer: int, rng: np.random.Generator) -> None:
    """Merge two random groups of a layer that are one group in the layer before."""
    row = routes[layer]
    first = np.unique(row)
    parents = routes[layer - 1][[int(np.argmax(row == one)) for one in first]] if layer else None
    one, other = np.triu_indices(len(first), 1)
    if parents is not None:
        together = parents[one] == parents[other]
        one, other = one[together], other[together]
    pair = rng.integers(len(one))
    row[row == first[other[pair]]] = first[one[pair]]
