"""Strategies that fit a regression to losses, played on a table of trees."""

from __future__ import annotations

import inspect

import numpy as np
from protocol import Outcome, Trial
from strategies import Strategy, by_score

from bmtas.search.surrogate import Surrogate, fit_surrogate
from bmtas.search.surrogate_search import ROUNDS, SurrogateSearch


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
