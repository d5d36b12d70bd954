"""The best tree for every budget, as strategies give it back and as ``front.json`` keeps it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bmtas.branching import BranchingTree, TreeFront
from bmtas.files import meant_as, read_json, write_json
from bmtas.resources import ResourceTable
from bmtas.search.bmn import expand
from bmtas.typed import check_value

FRONT = 'front.json'


def as_shown(score: str, scores: Sequence[float]) -> tuple[str, list[float]]:
    """Name and values of a score for pictures: a loss of gain is a gain there."""
    if 'loss of gain' not in score:
        return score, list(scores)
    return score.replace('loss of gain', 'gain'), [-value for value in scores]


@dataclass(frozen=True)
class Front:
    """Trees that are not dominated: none is both as cheap and of as low a score.

    Args:
        trees: By rising cost.
        costs: Of their whole networks, in the unit of the resource table.
        scores: Falling; what the strategy minimises.
        score: What that is, in a few words.
        deviations: How unsure the scores are against the best tree's, None if nothing says so.
    """

    trees: tuple[BranchingTree, ...]
    costs: tuple[float, ...]
    scores: tuple[float, ...]
    score: str
    deviations: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls,
        found: TreeFront,
        table: ResourceTable,
        score: str,
        lengths: Sequence[int] | None = None,
        deviations: Sequence[float] | None = None,
    ) -> Front:
        """From the program's result.

        Args:
            found: Trees over layers, or over locations.
            table: The resource table.
            score: See there.
            lengths: Number of layers of each location.
            deviations: See there.
        """
        trees = [found.tree(index) for index in range(len(found))]
        trees = [tree if lengths is None else expand(tree, lengths) for tree in trees]
        trees = [BranchingTree.from_routes(t.routes, t.tasks, table.layer_names) for t in trees]
        costs = tuple(tree.cost(table) for tree in trees)
        scores = tuple(float(value) for value in found.scores)
        unsure = None if deviations is None else tuple(float(value) for value in deviations)
        return cls(tuple(trees), costs, scores, score, unsure)

    def best(self, budget: float | None = None) -> int:
        """Index of the tree of lowest score within a budget, or of all.

        Raises:
            ValueError: Even the cheapest tree costs more.
        """
        if budget is None:
            return len(self.costs) - 1
        index = bisect_right(self.costs, budget) - 1
        if index < 0:
            raise ValueError(
                f'budget: {budget:,.0f} is below the cheapest tree of the front, '
                f'which costs {self.costs[0]:,}'
            )
        return index

    def to_file(self, path: str | Path, table: ResourceTable) -> None:
        """Write ``front.json``."""
        rows = [
            dict(cost=cost, score=score, config=tree.routes.tolist())
            for tree, cost, score in zip(self.trees, self.costs, self.scores)
        ]
        for row, deviation in zip(rows, self.deviations or ()):
            row['deviation'] = deviation
        content = dict(version=1, tasks=list(self.trees[0].tasks), layers=list(table.layer_names))
        write_json(path, dict(content, unit=table.unit, score=self.score, trees=rows), indent=None)

    @classmethod
    def from_file(cls, path: str | Path, table: ResourceTable) -> Front:
        """Read ``front.json``.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not a front, or one of other tasks, layers or another unit.
        """
        content = read_json(path, 'front')
        with meant_as('front', path):
            names = content['tasks'], content['layers'], content['unit']
            rows = content['trees']
            check_value(content['score'], str, 'score')
            trees = [BranchingTree.from_routes(row['config'], *names[:2]) for row in rows]
            columns = [tuple(row[key] for row in rows) for key in ('cost', 'score')]
            unsure = tuple(row['deviation'] for row in rows if 'deviation' in row)
            for numbers in (*columns, unsure):
                check_value(numbers, tuple[float, ...], 'trees')
            if not rows or len(unsure) not in (0, len(rows)):
                raise ValueError('trees: empty, or a deviation is missing')
        expected = list(table.heads), list(table.layer_names), table.unit
        for what, found, wanted in zip(('tasks', 'layers', 'unit'), names, expected):
            if found != wanted:
                raise ValueError(f'front {path}: {what}: {found}, the config has {wanted}')
        for tree, cost in zip(trees, columns[0]):
            if not math.isclose(cost, tree.cost(table)):
                raise ValueError(
                    f'front {path}: cost: {cost:g} is not that of its tree, {tree.cost(table):g}; '
                    'search again, or remove the file'
                )
        return cls(tuple(trees), *columns, content['score'], unsure or None)
