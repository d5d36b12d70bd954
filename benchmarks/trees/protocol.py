"""How a strategy is judged on a table of trees: what it may see, and what it pays.

The truth of a tree is its mean gain on the test samples over all seeds but the one that the
strategy sees: 100 / T times the sum of its log losses, less is better, so that one point is one
percent of loss. The strategy sees held-out losses of its own seed, and pays the share of a
training's updates times the cost of the network relative to Shared. Unit: one training of Shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np

from bmtas.branching import BranchingTree
from bmtas.search.tree_table import TreeTable

WINDOW = 0.02
"""Trees within this share of a budget count as equally dear."""


@dataclass(frozen=True)
class Searches:
    """Gradient searches of one seed with P prices of the cost.

    Attributes:
        trees: P trees of the largest alphas.
        routes: (P, L, T) of these.
        shared: (P, L, T, T) probabilities that two tasks share a layer.
        units: (P,) what each search cost.
    """

    trees: list[BranchingTree]
    routes: np.ndarray
    shared: np.ndarray
    units: np.ndarray


@dataclass(frozen=True)
class Trial:
    """One search: a table without gaps and the seed that the strategy sees.

    Attributes:
        table: Of N trees.
        seed: Column of the table.
        num_budgets: Budgets at quantiles of the cost, where three trees cost about as much; None:
            every cost with at least five trees.
        searches: Content of a file of gradient searches (``planted_search.py``), or None.
        signals: Content of a file of signals (``planted_signals.py``), or None.
    """

    table: TreeTable
    seed: int
    num_budgets: int | None = None
    searches: Mapping[str, np.ndarray] | None = None
    signals: Mapping[str, np.ndarray] | None = None

    def signal(self, name: str) -> np.ndarray | None:
        """What the seed's column of a signal says; None where it has not been measured."""
        column = self._column(self.signals)
        known = column is not None and name in self.signals
        return self.signals[name][column] if known else None

    def _column(self, found: Mapping[str, np.ndarray] | None) -> int | None:
        """Place of the trial's seed in a file beside the table; None where it is not there."""
        if found is None:
            return None
        places = np.flatnonzero(found['seeds'] == self.table.seeds[self.seed])
        return int(places[0]) if len(places) else None

    def searches_of(self, variant: str, every: int = 1) -> Searches | None:
        """The gradient searches of a variant with this seed; None where there are none.

        Args:
            variant: Its name.
            every: Every which lambda is taken, from the second of the first pair on.
        """
        found, column = self.searches, self._column(self.searches)
        if column is None or variant not in found['variants']:
            return None
        row = found['variants'].tolist().index(variant)
        chosen = slice(every // 2, None, every)
        routes = found['routes'][row, chosen, column]
        trees = [BranchingTree.from_routes(tree, self.table.tasks) for tree in routes]
        units = np.full(len(routes), found['units'][row])
        return Searches(trees, routes, found['shared'][row, chosen, column], units)

    @cached_property
    def truth(self) -> np.ndarray:
        """(N,) mean gain over the other seeds."""
        others = np.delete(np.arange(self.table.test.shape[1]), self.seed)
        return -100 * self.table.test[:, others].mean((1, 2))

    @cached_property
    def units(self) -> np.ndarray:
        """(N,) price of one training of each tree."""
        return self.table.costs / self.table.costs.min()

    @cached_property
    def budgets(self) -> np.ndarray:
        costs = self.table.costs
        if self.num_budgets is None:
            values, counts = np.unique(costs, return_counts=True)
            return values[counts >= 5]
        shares = (np.arange(self.num_budgets) + 0.5) / self.num_budgets
        values = np.quantile(costs, shares)
        counts = (np.abs(costs / values[:, None] - 1) <= WINDOW).sum(1)
        return values[counts >= 3]

    @cached_property
    def classes(self) -> list[np.ndarray]:
        """For each budget the trees of about its cost."""
        costs = self.table.costs
        return [np.flatnonzero(np.abs(costs / budget - 1) <= WINDOW) for budget in self.budgets]

    def gains(self, share: float = 1.0) -> np.ndarray:
        """(N,) held-out gain of the strategy's seed after a share of the updates."""
        return -100 * self.losses(share).mean(1)

    def short(self, share: float) -> np.ndarray | None:
        """(N, T) held-out log losses of trainings whose whole schedule is a share of the length.

        None where some tree was not trained so.
        """
        if share == 1:
            return self.losses()
        losses = self.signal('short')
        if losses is None:
            return None
        known = np.flatnonzero(np.isclose(self.signals['shares'], share))
        return losses[known[0]] if len(known) and np.isfinite(losses[known[0]]).all() else None

    def losses(self, share: float = 1.0) -> np.ndarray:
        """(N, T) held-out log losses of the strategy's seed after a share of the updates."""
        reading = int(np.flatnonzero(np.isclose(self.table.readings, share))[0])
        return self.table.held_out[:, self.seed, reading]

    def best_up_to(self, score: np.ndarray) -> np.ndarray:
        """For each budget the tree of highest score that costs no more."""
        allowed = self.table.costs <= self.budgets[:, None] * (1 + 1e-9)
        return np.where(allowed, score, -np.inf).argmax(1)

    def best_of_equal(self, score: np.ndarray) -> np.ndarray:
        """For each budget the tree of highest score among those of its cost."""
        return np.array([members[score[members].argmax()] for members in self.classes])

    def normalised(self, values: np.ndarray) -> np.ndarray:
        """True gains (B,), 0 for the mean of equal cost and 1 for the best of equal cost."""
        return (values - self.average) / np.maximum(self.best - self.average, 1e-9)

    @cached_property
    def average(self) -> np.ndarray:
        return np.array([self.truth[members].mean() for members in self.classes])

    @cached_property
    def best(self) -> np.ndarray:
        return np.array([self.truth[members].max() for members in self.classes])

    @cached_property
    def optimum(self) -> np.ndarray:
        """For each budget the highest true gain of all trees that cost no more."""
        return self.truth[self.best_up_to(self.truth)]

    def best_of_random(self, counts: np.ndarray) -> np.ndarray:
        """Expected true gain (B,) of the best of some random trees of equal cost, exactly.

        The best is chosen by its held-out gain after a full training with the strategy's seed.

        Args:
            counts: (B,) how many trees are drawn, without repetition.
        """
        return np.array(
            [
                expected_best(self.gains()[members], self.truth[members], int(count))
                for members, count in zip(self.classes, counts)
            ]
        )

    def affordable(self, units: np.ndarray) -> np.ndarray:
        """For each budget the number of trainings of its cost that ``units`` (B,) pay: 1 to all."""
        price = np.array([self.units[members].mean() for members in self.classes])
        return np.clip(np.round(units / price), 1, [len(members) for members in self.classes])


def expected_best(seen: np.ndarray, true: np.ndarray, count: int) -> float:
    """Expectation of ``true`` of the one that is seen best among ``count`` drawn of M."""
    num = len(seen)
    count = min(count, num)
    order = np.argsort(-seen, kind='stable')
    chances = [comb(num - 1 - rank, count - 1) / comb(num, count) for rank in range(num)]
    return float(true[order] @ chances)


@dataclass(frozen=True)
class Outcome:
    """What a strategy found.

    Attributes:
        trees: (B,) the tree of each budget.
        units: (B,) what it cost to find it.
        score: (N,) what it thinks of every tree, or None.
        values: (B,) true gains to take instead of those of ``trees``: an exact expectation.
    """

    trees: np.ndarray
    units: np.ndarray
    score: np.ndarray | None = None
    values: np.ndarray | None = None
