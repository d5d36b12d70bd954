"""Trees that a search trains after its design: rounds at the budget, and a last race."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.branching import BranchingTree
from bmtas.files import meant_as, read_json, write_json
from bmtas.search.bmn import expand
from bmtas.search.context import SearchContext
from bmtas.search.row import Row
from bmtas.search.rows import Rows, gains
from bmtas.search.surrogate import Surrogate, contenders, promising

FILE = 'rounds.json'


@dataclass(frozen=True)
class Place:
    """Where trees are looked for.

    Args:
        context: Of the search.
        rows: Of the search.
        costs: (D,) of one copy of each location.
        lengths: (D,) layers of each location.
        budget: Of the locations.
        updates: Of each training.
        seed: Of draws and trainings.
    """

    context: SearchContext
    rows: Rows
    costs: Sequence[float]
    lengths: Sequence[int]
    budget: float
    updates: int
    seed: int

    def row(self, tree: BranchingTree, updates: int | None = None, **options: Any) -> Row:
        """The training of a tree over locations, see ``Row``."""
        return Row.of(self.over_layers(tree), updates or self.updates, self.seed, **options)

    def over_layers(self, tree: BranchingTree) -> BranchingTree:
        """A tree over locations as one over layers."""
        return expand(BranchingTree.from_routes(tree.routes, self.context.names), self.lengths)


def train_rounds(place: Place, fit: Callable[[], Surrogate], rounds: int, batch: int) -> None:
    """Train the trees that draws from the posterior find best at the budget, round by round.

    After each round the next one's trees are drawn anew (Thompson, Biometrika 1933). They are
    written to ``rounds.json`` before they are trained, so that an interrupted search goes on with
    them; a search for another budget in the same work dir draws its own.

    Args:
        place: Where.
        fit: The regression on all rows that there are.
        rounds: Number of rounds.
        batch: Trees of each.
    """
    plan = _Plan(place.context.work_dir / FILE, place)
    for number in range(rounds):
        if number == len(plan.rounds):
            surrogate = fit()
            known = {BranchingTree.from_routes(routes) for routes in surrogate.routes}
            drawn = (place.seed, number)
            found = promising(surrogate, place.costs, place.budget, batch, drawn, known)
            if not found:
                place.context.log('no further round: all trees likely to be best are trained')
                return
            plan.add(found)
        trees = plan.rounds[number]
        place.context.log(f'round {number + 1} of {rounds}: {len(trees)} trees likely to be best')
        place.rows.train([place.row(tree) for tree in trees])


class _Plan:
    """The trees of all rounds, in a file."""

    def __init__(self, path: Path, place: Place) -> None:
        self.path = path
        self.head = dict(budget=float(place.budget), lengths=list(map(int, place.lengths)))
        found = read_json(path, 'rounds of a search') if path.is_file() else {}
        with meant_as('rounds of a search', path):
            same = {key: found.get(key) for key in self.head} == self.head
            self.rounds = [
                [BranchingTree.from_routes(np.array(routes)) for routes in trees]
                for trees in (found['rounds'] if same else [])
            ]

    def add(self, trees: Sequence[BranchingTree]) -> None:
        self.rounds.append(list(trees))
        rounds = [[tree.routes.tolist() for tree in trees] for trees in self.rounds]
        write_json(self.path, dict(self.head, rounds=rounds), indent=None)


def race(place: Place, surrogate: Surrogate, count: int, weights: np.ndarray) -> BranchingTree:
    """The best on held-out images of the most promising trees.

    Args:
        place: Where.
        surrogate: The fit.
        count: Trees that take part.
        weights: (T,) elasticities.
    """
    context = place.context
    trees = contenders(surrogate, place.costs, place.budget, count, place.seed)
    trained = place.rows.train([place.row(tree) for tree in trees])
    points = gains(np.array([item.losses for item in trained]), weights)
    trees = [place.over_layers(tree) for tree in trees]
    for tree, value in zip(trees, points):
        context.log(f'race: {value - points.max():6.2f} points, {context.describe(tree)}')
    return trees[int(points.argmax())]
