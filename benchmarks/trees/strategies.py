"""Strategies played on a table of trees: each looks things up, pays for them, and chooses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import combinations, permutations

import numpy as np
from protocol import Outcome, Trial

from bmtas.branching import BranchingTree, vanilla_tree
from bmtas.search.bmn import GroupScores
from bmtas.search.fafs import sweep
from bmtas.search.gradient.decoding import PairRisk
from bmtas.search.surrogate import Surrogate, fit_surrogate
from bmtas.search.surrogate_search import ROUNDS, SurrogateSearch

Strategy = Callable[[Trial, np.random.Generator], Outcome | None]
"""None where the table has not what the strategy needs."""


def by_score(trial: Trial, score: np.ndarray, units: float) -> Outcome:
    """The tree of highest score up to each budget."""
    return Outcome(trial.best_up_to(score), np.full(len(trial.budgets), units), score)


def average(trial: Trial, rng: np.random.Generator) -> Outcome:
    """A random tree of equal cost, in expectation."""
    trees = np.zeros(len(trial.budgets), int)
    return Outcome(trees, np.zeros(len(trees)), values=trial.average)


def optimum(trial: Trial, rng: np.random.Generator) -> Outcome:
    return by_score(trial, trial.truth, np.inf)


def one_seed(trial: Trial, rng: np.random.Generator) -> Outcome:
    """All trees trained in full with one seed: the ceiling of what one seed can tell."""
    return by_score(trial, trial.gains(), trial.units.sum())


def best_of_random(count: int) -> Strategy:
    """The best of some random trees of equal cost, chosen on held-out samples, in expectation."""

    def run(trial: Trial, rng: np.random.Generator) -> Outcome:
        counts = np.full(len(trial.budgets), count)
        units = [count * trial.units[members].mean() for members in trial.classes]
        trees = np.zeros(len(counts), int)
        return Outcome(trees, np.array(units), values=trial.best_of_random(counts))

    return run


def vanilla(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """The first layers shared, the others separate; as many separate as the budget allows."""
    layers, tasks = trial.table.routes.shape[1], trial.table.tasks
    trees = [vanilla_tree(layers, tasks, shared) for shared in range(layers + 1)]
    return _dearest(trial, trees, 0.0)


def surrogate(count: int, share: float, own: bool = False, **options) -> Strategy:
    """The regression on some trees that are trained for a share of the updates.

    Args:
        count, share: See there.
        own: The schedule ends with them; otherwise the usual one is read after that share.
        options: Of ``fit_surrogate``.
    """

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        losses = trial.short(share) if own else trial.losses(share)
        if losses is None:
            return None
        model, units, _ = _fitted(trial, losses, count, share, rng, options)
        return by_score(trial, model.gain(trial.table.routes), units)

    return run


def default() -> Strategy:
    """``SurrogateSearch`` with nothing but its defaults."""
    options = {k: v.default for k, v in inspect.signature(SurrogateSearch).parameters.items()}
    return thompson(options['count'], ROUNDS, options['batch'], options['length'])


def thompson(first: int, rounds: int, batch: int, share: float) -> Strategy:
    """A design, then rounds of the best trees of posterior draws, anew for each budget."""

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        losses, routes = trial.short(share), trial.table.routes
        if losses is None:
            return None
        start = draw_design(trial, first, rng)
        chosen, paid = [], []
        for number in range(len(trial.budgets)):
            trees = start
            for _ in range(rounds):
                model, wanted = fit_surrogate(routes[trees], losses[trees]), len(trees) + batch
                for _ in range(5 * batch):
                    if len(trees) < wanted:
                        best = trial.best_up_to(model.draw(rng).gain(routes))[number]
                        trees = np.union1d(trees, best)
            score = fit_surrogate(routes[trees], losses[trees]).gain(routes)
            chosen.append(trial.best_up_to(score)[number])
            paid.append(share * trial.units[trees].sum())
        return Outcome(np.array(chosen), np.array(paid))

    return run


def uniform_supergraph(count: int | None) -> Strategy:
    """Trees with the weights of a supergraph: the regression on some, or the best of all."""

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        losses = trial.signal('supergraph')
        if losses is None:
            return None
        units = float(trial.signal('supergraph_units'))
        if count is None:
            return by_score(trial, -100 * losses.mean(1), units)
        trees = draw_design(trial, count, rng)
        model = fit_surrogate(trial.table.routes[trees], losses[trees])
        return by_score(trial, model.gain(trial.table.routes), units)

    return run


def bmn(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """The tree of least dissimilar groups by the tasks' separate networks, whose price it is."""
    affinity = trial.signal('representation')
    if affinity is None:
        return None
    scores = GroupScores(affinity.astype(float))
    routes = trial.table.routes
    apart = sum(scores.table(routes[:, layer])[layer] for layer in range(routes.shape[1]))
    return by_score(trial, -apart, trial.units.max())


def fafs(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """The dearest tree allowed of the greedy sweep; the price of Shared."""
    affinity = trial.signal('difficulty')
    if affinity is None:
        return None
    alphas = [0.0, *np.geomspace(1e-2, 1e3, 201)]
    found = sweep(affinity, trial.signals['branch_costs'].tolist(), trial.table.tasks, alphas)
    return _dearest(trial, [tree for _, tree in found], 1.0)


def _dearest(trial: Trial, trees: Sequence[BranchingTree], units: float) -> Outcome | None:
    """For each budget the dearest of some trees that it allows; Shared where it allows none.

    None if one of the trees is not in the table.
    """
    score = np.full(len(trial.table.routes), -np.inf)
    numbers = [trial.table.index.get(tree) for tree in trees]
    if None in numbers:
        return None
    score[numbers] = trial.table.costs[numbers]
    shared = trial.table.costs.argmin()
    score[shared] = max(score[shared], 0)
    return by_score(trial, score, units)


def race(count: int, share: float, finalists: int = 4) -> Strategy:
    """The regression, then a training of the best and of the likely trees of each budget."""

    def run(trial: Trial, rng: np.random.Generator) -> Outcome:
        model, units, trained = _fitted(trial, trial.losses(share), count, share, rng, {})
        score, routes = model.gain(trial.table.routes), trial.table.routes
        drawn = np.stack([trial.best_up_to(model.draw(rng).gain(routes)) for _ in range(50)], 1)
        chosen, paid = trial.best_up_to(score), []
        for number, (best, votes) in enumerate(zip(chosen, drawn)):
            likely, counts = np.unique(votes[votes != best], return_counts=True)
            runners = [best, *likely[np.argsort(-counts, kind='stable')][: finalists - 1]]
            chosen[number] = runners[trial.gains(share)[runners].argmax()]
            paid.append(units + share * trial.units[np.setdiff1d(runners, trained)].sum())
        return Outcome(chosen, np.array(paid), score)

    return run


def permuted(strategy: Strategy) -> Strategy:
    """The trees of a strategy with the tasks in other places, in expectation."""

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        outcome = strategy(trial, rng)
        values = []
        for tree in outcome.trees:
            others = _permutations(trial, trial.table.trees[tree]) - {tree}
            values.append(trial.truth[sorted(others) or [tree]].mean())
        return Outcome(outcome.trees, outcome.units, values=np.array(values))

    return run


def _permutations(trial: Trial, tree: BranchingTree) -> set[int]:
    """Numbers of the trees of the table that arise if tasks change places."""
    images = permutations(tree.tasks)
    trees = (tree.permuted(dict(zip(tree.tasks, image))) for image in images)
    return {trial.table.index[other] for other in trees if other in trial.table.index}


def probes(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """The regression on short trainings of one split each, all from one half-trained Shared."""
    table = trial.table
    if table.probes is None or not np.isfinite(table.probes[:, trial.seed]).all():
        return None
    model = fit_surrogate(table.probe_routes, table.probes[:, trial.seed])
    prices = (table.fixed_cost + (table.probe_routes.max(2) + 1) @ table.layer_costs) / (
        table.costs.min()
    )
    return by_score(trial, model.gain(table.routes), 0.5 + 0.25 * prices.sum())


def two_task(trial: Trial, rng: np.random.Generator) -> Outcome | None:
    """TreeMTL's score: losses of two-task networks at the pairs' branching points, added up.

    A two-task network is found in the table as the tree where all other tasks are alone. That holds
    where tasks that share no layer do not touch each other at all, which ``fixed_cost`` 0 stands
    for: no stem.
    """
    table = trial.table
    if table.fixed_cost:
        return None
    num_layers, num_tasks = table.routes.shape[1:]
    losses, score, updates = trial.losses(), np.zeros(len(table.routes)), 0.0
    for i, j in combinations(range(num_tasks), 2):
        shared = (table.routes[:, :, i] == table.routes[:, :, j]).sum(1)
        for depth in range(num_layers + 1):
            routes = np.tile(np.arange(num_tasks), (num_layers, 1))
            routes[:depth, j] = i
            number = table.index[BranchingTree.from_routes(routes, table.tasks)]
            score[shared == depth] -= losses[number, [i, j]].sum()
            updates += (2 * table.layer_costs.sum() - table.layer_costs[:depth].sum()) * (depth > 0)
    updates += num_tasks * table.layer_costs.sum()
    return by_score(trial, score, updates / table.costs.min())


def bmtas_argmax(variant: str, every: int = 1) -> Strategy:
    """As in the paper: the tree of the largest alphas for each lambda; the dearest allowed.

    Args:
        variant: Name of the variant.
        every: Take every lambda, or every second one, which halves the price.
    """

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        searches = trial.searches_of(variant, every)
        if searches is None:
            return None
        return _dearest(trial, searches.trees, searches.units.sum())

    return run


def bmtas_decoded(variant: str, which: int | None = None, every: int = 1) -> Strategy:
    """The tree of least expected wrong decisions about pairs.

    Args:
        variant, every: See ``bmtas_argmax``.
        which: One lambda by its number; None: all are searched, and each budget takes the search
            whose own tree is nearest to it in cost.
    """

    def run(trial: Trial, rng: np.random.Generator) -> Outcome | None:
        searches = trial.searches_of(variant, every)
        if searches is None:
            return None
        scores = -np.stack([_risk(trial.table.routes, shared) for shared in searches.shared])
        if which is not None:
            return by_score(trial, scores[which], searches.units[which])
        costs = (searches.routes.max(2) + 1) @ trial.table.layer_costs + trial.table.fixed_cost
        nearest = np.abs(costs - trial.budgets[:, None]).argmin(1)
        trees = [trial.best_up_to(scores[n])[number] for number, n in enumerate(nearest)]
        return Outcome(np.array(trees), np.full(len(trees), searches.units.sum()))

    return run


def _risk(routes: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Expected number of wrong decisions (N,) of trees, see ``search.gradient.decoding``."""
    risk = PairRisk(shared)
    return sum(risk.table(routes[:, layer])[layer] for layer in range(routes.shape[1]))


def _fitted(
    trial: Trial,
    losses: np.ndarray,
    count: int,
    share: float,
    rng: np.random.Generator,
    options: dict,
) -> tuple[Surrogate, float, np.ndarray]:
    """The surrogate of a design on losses (N, T), its price, and the trees of the design."""
    trees = draw_design(trial, count, rng)
    model = fit_surrogate(trial.table.routes[trees], losses[trees], **options)
    return model, share * trial.units[trees].sum(), trees


def draw_design(trial: Trial, count: int, rng: np.random.Generator) -> np.ndarray:
    """Shared, Separate, and trees of the table uniformly over costs (as ``design_trees`` draws)."""
    costs = trial.table.costs
    chosen = [int(costs.argmin()), int(costs.argmax())]
    free = np.ones(len(costs), bool)
    free[chosen] = False
    while len(chosen) < min(count, len(costs)):
        distance = np.abs(costs - rng.uniform(costs.min(), costs.max()))
        near = free & (distance <= max(distance[free].min(), 0.02 * costs.max()))
        chosen.append(int(rng.choice(np.flatnonzero(near))))
        free[chosen[-1]] = False
    return np.array(chosen)
