"""The regression on many short trainings as a strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np

from bmtas.branching import MAX_ITEMS, BranchingTree, TreeFront, tree_front
from bmtas.registry import STRATEGIES
from bmtas.search.affinity_file import read_affinity, save_affinity
from bmtas.search.bmn import expand, location_costs, spans
from bmtas.search.context import PICTURES, SearchContext, SearchResult, Strategy
from bmtas.search.front import Front
from bmtas.search.rounds import Place, race, train_rounds
from bmtas.search.row import Row
from bmtas.search.rows import Rows, Trained, by_task, spent
from bmtas.search.surrogate import (
    MIN_ROWS,
    Surrogate,
    cautious,
    design_trees,
    fit_surrogate,
    left_out_rank,
    pair_certainty,
    pair_trees,
    probe_trees,
)
from bmtas.typed import Count, Fraction, Natural, Positive, Range
from bmtas.visualization import draw_affinity

ROUNDS = 6
SUPERNET, POOL = 3, 256
"""Length of a supergraph's training in those of the rows, and how many trees it draws from."""
KNOWS, MIN_WHOLE = 0.2, 4
"""Rank correlation within equal cost below which a regression is said to know nothing, and the
number of trees of all tasks from which on there is one."""


@STRATEGIES.register_module()
class SurrogateSearch(Strategy):
    """Additive regression on the losses of many short trainings; the best tree for every budget.

    Each task's log loss on held-out images is explained by which tasks share which location with
    it, and the tree of the largest predicted gain is found exactly. Locations are runs of layers.

    Args:
        source: Where the rows come from. 'train': random trees of all costs, from scratch.
            'probe': trees of one split that start from a half-trained Shared network. 'pairs':
            networks of two tasks that share the first locations (TreeMTL, 2022). 'supergraph':
            random trees with the weights of a supergraph that was trained on random trees.
        count: Trees of 'train' and 'supergraph'.
        length: Part of the config's updates of each training; times three that of the supergraph.
        share: With 'probe', part of the updates that the Shared network is trained before.
        locations: Indices of the last layer of each location; by default 'stages', the decoder's
            low-level layer and the context module also end one.
        rounds, batch: How often, and how many, trees are trained after these that the regression
            so far finds likely to be the best for the budget; ``rounds`` of 'train' alone, where
            it is 6 by default.
        race: Trees that are trained in the end, to take the best on held-out images; 0 trusts the
            prediction.
        held_out: Part of the training images that is kept for the measurement.
        elasticities: Relative change of each task's metric for one of its loss, 1 by default.
        prior: How much each task helps each other at each location: ``affinity.json``, or
            'gradients' to measure it along the Shared training of the design, see
            ``TaskAffinityHook``. The regression decides how far to believe it.
        seed: Of the design and the trainings.

    Rows of earlier runs in the work dir are used again.
    """

    def __init__(
        self,
        source: Literal['train', 'probe', 'pairs', 'supergraph'] = 'train',
        count: Annotated[int, Range(2)] = 12,
        length: Fraction = 1.0,
        share: Fraction = 0.5,
        locations: Literal['stages'] | Sequence[Natural] = 'stages',
        rounds: Natural | None = None,
        batch: Count = 2,
        race: Natural = 0,
        held_out: Annotated[float, Range(0, 1, open=True)] = 0.2,
        elasticities: Mapping[str, Positive] | None = None,
        prior: str | None = None,
        seed: Natural = 0,
    ) -> None:
        self.source, self.count, self.length, self.share = source, count, length, share
        self.rounds, self.batch = ROUNDS if rounds is None else rounds, batch
        self.locations, self.race, self.held_out = locations, race, held_out
        self.elasticities, self.prior, self.seed = elasticities, prior, seed
        if source != 'train':
            if rounds:
                raise ValueError(f"search.rounds: of 'train' alone, search.source is {source!r}")
            self.rounds = 0
        if prior == 'gradients' and source in ('pairs', 'supergraph'):
            raise ValueError(
                f"search.prior: 'gradients' needs a Shared training, {source} has none"
            )

    def run(self, context: SearchContext) -> SearchResult:
        """Train, fit, decode, and race the last few.

        Raises:
            ValueError: No budget, or too few rows for a regression.
        """
        budget = context.needed_budget() - context.fixed_cost
        weights = by_task(self.elasticities, context)
        ends = self._ends(context)
        lengths = spans(ends, context.num_layers)
        costs = location_costs(context.table.layers, lengths)
        rows = Rows(context, self.held_out)
        updates = rows.updates(self.length)
        place = Place(context, rows, costs, lengths, budget, updates, self.seed)
        design, pool = self._design(place, ends)
        self._check_number(design, rows)
        rows.train(design, pool)
        train_rounds(
            place, lambda: self._fit(context, rows, ends, weights)[0], self.rounds, self.batch
        )
        surrogate, known = self._fit(context, rows, ends, weights)
        method = 'dp' if len(context.names) <= MAX_ITEMS else 'beam'
        if method == 'beam':
            context.log(f'{len(context.names)} tasks: the best trees are found by beam search')
        found = tree_front(costs, surrogate, context.names, method)
        rank, index = self._judge(context, surrogate, found, known, budget)
        tree = expand(found.tree(index), lengths)
        if self.race and (rank is None or rank >= KNOWS):
            tree = race(place, surrogate, self.race, weights)
        names = [context.table.layer_names[end] for end in ends]
        share = pair_certainty(surrogate, costs, budget, seed=self.seed)
        report = dict(
            spent=spent(rows.known(), rows.length),
            left_out_rank=rank,
            rows=len(known),
            locations=names,
            together=share.tolist(),
        )
        front = Front.of(
            found,
            context.table,
            'predicted loss of gain by sharing (points)',
            lengths,
            _deviations(surrogate, found, index),
        )
        result = context.result(tree, front)
        path = context.work_dir / PICTURES / 'pairs.png'
        draw_affinity(share, context.names, names, path, result.tree, 'share of draws that share')
        return SearchResult(result.tree, result.cost, front, report)

    def _check_number(self, design: Sequence[Row], rows: Rows) -> None:
        """Whether there will be enough rows, before any is trained."""
        planned = {row.key for row in design if row.source != 'supernet'}
        planned |= {item.row.key for item in rows.known()}
        if len(planned) < MIN_ROWS:
            raise ValueError(
                f'search.count: the regression needs at least {MIN_ROWS} trained trees, there '
                f'would be {len(planned)}'
            )

    def _ends(self, context: SearchContext) -> list[int]:
        """Last layer of each location."""
        last = context.num_layers - 1
        if self.locations == 'stages':
            remedy = 'give search.locations as indices of layers'
            ends, low = (context.of_backbone(f, remedy) for f in ('stage_ends', 'low_level_index'))
            return sorted({*ends, low, last})
        ends = list(self.locations)
        if ends != sorted(set(ends)) or not ends or ends[-1] != last:
            raise ValueError(
                f'search.locations: rising indices of layers that end with {last}, got {ends}'
            )
        return ends

    def _design(self, place: Place, ends: Sequence[int]) -> tuple[list[Row], np.ndarray | None]:
        """What to train, and the trees of a supergraph."""
        costs, tasks = place.costs, place.context.names
        measure = tuple(ends) if self.prior == 'gradients' else ()

        def row(routes: np.ndarray, **options: Any) -> Row:
            return place.row(BranchingTree.from_routes(routes), **options)

        if self.source == 'train':
            trees = design_trees(costs, len(tasks), self.count, self.seed)
            return [row(trees[0], measure=measure), *map(row, trees[1:])], None
        if self.source == 'pairs':
            trees, members = pair_trees(len(costs), len(tasks))
            chosen = [tuple(np.array(tasks)[who].tolist()) for who in members]
            found = [row(r, source='pairs', tasks=who) for r, who in zip(trees, chosen)]
            return found, None
        shared = np.zeros((len(costs), len(tasks)), int)
        if self.source == 'supergraph':
            updates = SUPERNET * place.updates
            start = row(shared, updates=updates, source='supernet', keep=True)
            trees = design_trees(costs, len(tasks), self.count, self.seed)
            pool = design_trees(costs, len(tasks), max(self.count, POOL), self.seed)
            rest = [row(routes, source='supergraph', start=start.key) for routes in trees]
            return [start, *rest], np.repeat(pool, place.lengths, axis=1)
        updates = place.rows.updates(self.share)
        start = row(shared, updates=updates, keep=True, measure=measure)
        trees = [shared, *probe_trees(len(costs), len(tasks))]
        rest = [row(routes, source='probe', start=start.key) for routes in trees]
        return [start, *rest], None

    def _fit(
        self, context: SearchContext, rows: Rows, ends: Sequence[int], weights: np.ndarray
    ) -> tuple[Surrogate, list[Trained]]:
        """Regression on all rows of the work dir that branch at the locations."""
        starts = [0, *(end + 1 for end in ends[:-1])]
        known = [
            item
            for item in rows.known()
            if item.row.source != 'supernet' and _branches_at(item.row.routes, starts)
        ]
        kinds = [(item.row.source, item.row.updates) for item in known]
        sources = [sorted(set(kinds)).index(kind) for kind in kinds]
        routes = np.array([np.array(item.row.routes)[starts] for item in known])
        for number, item in enumerate(known):
            if item.row.tasks:  # tasks that took no part share with nobody
                away = [t not in item.row.tasks for t in context.names]
                routes[number][:, away] = len(context.names) + np.flatnonzero(away)
        prior = self._prior(context, known, ends)
        losses = np.array([item.losses for item in known])
        try:
            return fit_surrogate(routes, losses, weights, sources, prior), known
        except ValueError as error:
            text = str(error)
            for number, name in enumerate(context.names):
                text = text.replace(f'task number {number} ', f'task {name!r} ')
            raise ValueError(f'search: {text}') from None

    def _prior(
        self, context: SearchContext, known: Sequence[Trained], ends: Sequence[int]
    ) -> np.ndarray | None:
        """(D, T, T), how much task u helps task t at [d, t, u]."""
        if self.prior is None:
            return None
        if self.prior != 'gradients':
            return read_affinity(self.prior, context.names)
        measured = [item.affinity for item in known if item.row.measure == tuple(ends)]
        names = [context.table.layer_names[end] for end in ends]
        save_affinity(context, measured[-1], names)
        return measured[-1]

    def _judge(
        self,
        context: SearchContext,
        surrogate: Surrogate,
        found: TreeFront,
        known: Sequence[Trained],
        budget: float,
    ) -> tuple[float | None, int]:
        """Rank within equal cost of what was left out, and the tree to take.

        Rows of pairs of tasks say nothing about whole trees: without others the rank is None.
        """
        tree_costs = [
            BranchingTree.from_routes(item.row.routes, context.names).cost(context.table)
            for item in known
        ]
        index = found.best(budget)
        if sum(not item.row.tasks for item in known) < MIN_WHOLE:
            context.log(f'regression on {len(known)} rows of some of the tasks: no rank of trees')
            return None, index
        rank = left_out_rank(surrogate, np.array(tree_costs, float))
        context.log(
            f'regression on {len(known)} rows: leave-one-out rank within equal cost {rank:.2f}'
        )
        if rank < KNOWS:
            index = cautious(surrogate, found, budget)
            context.log(
                f'below {KNOWS}: it knows nothing about trees of equal cost; taken is the cheapest '
                'tree within one deviation of the best. More trainings may help (search.count)'
            )
        return rank, index


def _branches_at(routes: Sequence[Sequence[int]], starts: Sequence[int]) -> bool:
    """Whether a tree (L, T) branches before these layers only."""
    rows = np.array(routes)
    changes = np.flatnonzero((rows[1:] != rows[:-1]).any(1)) + 1
    return set(changes.tolist()) <= set(starts)


def _deviations(surrogate: Surrogate, found: TreeFront, index: int) -> list[float]:
    """Deviation of each tree's prediction against the chosen tree's."""
    routes = np.array([found.tree(i).routes for i in range(len(found))])
    return surrogate.deviation(routes, routes[index]).tolist()
