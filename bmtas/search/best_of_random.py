"""The bar for every search: the best of some random trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np

from bmtas.registry import STRATEGIES
from bmtas.search.context import SearchContext, SearchResult, Strategy
from bmtas.search.row import Row
from bmtas.search.rows import Rows, by_task, gains, spent
from bmtas.search.rules import trees_within
from bmtas.typed import Count, Fraction, Natural, Positive, Range

TRIES = 50
"""Draws for each tree that is wanted; where the budget has fewer, fewer are trained."""


@STRATEGIES.register_module()
class BestOfRandom(Strategy):
    """The best of some random trees that spend the budget: the bar for every other strategy.

    Trains them and takes the one of the lowest log losses on held-out images.

    Args:
        count: n.
        length: Part of the config's updates that each is trained.
        tolerance: Part of the budget that a tree may leave.
        held_out: Part of the training images that is kept for the comparison.
        elasticities: Relative change of each task's metric for one of its loss, 1 by default.
        seed: Of the draw and the trainings.
    """

    def __init__(
        self,
        count: Count = 6,
        length: Fraction = 1.0,
        tolerance: Annotated[float, Range(0, 1, open=True)] = 0.04,
        held_out: Annotated[float, Range(0, 1, open=True)] = 0.2,
        elasticities: Mapping[str, Positive] | None = None,
        seed: Natural = 0,
    ) -> None:
        self.count, self.length, self.tolerance = count, length, tolerance
        self.held_out, self.elasticities, self.seed = held_out, elasticities, seed

    def run(self, context: SearchContext) -> SearchResult:
        """Draw, train, compare."""
        weights = by_task(self.elasticities, context)
        pool = trees_within(context, self.tolerance)
        rng, trees = np.random.default_rng(self.seed), {}
        for _ in range(TRIES * self.count):
            trees[pool.sample(int(rng.integers(2**31)))] = None
            if len(trees) == self.count:
                break
        rows = Rows(context, self.held_out)
        updates = rows.updates(self.length)
        trained = rows.train([Row.of(tree, updates, self.seed) for tree in trees])
        points = gains(np.array([item.losses for item in trained]), weights)
        best = int(points.argmax())
        context.log(
            f'best of {len(trees)} random trees: {points[best] - points.mean():+.2f} points '
            'above their mean on held-out images'
        )
        result = context.result(list(trees)[best])
        report = dict(spent=spent(trained, rows.length), points=points.tolist())
        return SearchResult(result.tree, result.cost, report=report)
