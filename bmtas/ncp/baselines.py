"""Searches of codes without a gradient, at a given number of predictor calls."""

from __future__ import annotations

import numpy as np

from .objective import Evaluation, Objective
from .propagation import Path


def _record(path: Path, objective: Objective, evaluation: Evaluation) -> None:
    path.evaluations.append(evaluation)
    path.calls.append(objective.calls)


def _feasible(objective: Objective, codes: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Codes drawn into the budget, frozen positions as in the start (costs no calls)."""
    space = objective.space
    codes = np.where(space.free, codes, start)
    starts = np.broadcast_to(start, codes.shape)
    return space.round(space.within(codes, starts, objective.budget), starts)


def random_search(
    objective: Objective, start: np.ndarray, calls: int, generator: np.random.Generator
) -> Path:
    """Codes drawn at random.

    Args:
        objective: What is wanted.
        start: (D,) code whose frozen positions stand; the first that is evaluated.
        calls: Predictor calls to spend.
        generator: Source of the draws.
    """
    path, limit = Path(), objective.calls + calls
    _record(path, objective, objective.evaluate(_feasible(objective, start[None], start)))
    while objective.calls < limit:
        number = min(64, limit - objective.calls)
        codes = _feasible(objective, objective.space.random(number, generator), start)
        evaluation = objective.evaluate(codes)
        best = [evaluation.value.argmax()]
        _record(path, objective, _take(evaluation, best))
    return path


def local_search(
    objective: Objective, start: np.ndarray, calls: int, generator: np.random.Generator
) -> Path:
    """Best-neighbour ascent to a local optimum, then again from a random code.

    Arguments as in ``random_search``; neighbours over the budget are dropped unseen.
    """
    path, limit = Path(), objective.calls + calls
    current = objective.evaluate(_feasible(objective, start[None], start))
    _record(path, objective, current)
    while objective.calls < limit:
        near = objective.space.neighbours(current.codes[0])
        near = near[objective.budget.holds(*objective.space.costs(near))][: limit - objective.calls]
        evaluation = objective.evaluate(near) if len(near) else None
        if evaluation is None or evaluation.value.max() <= current.value[0]:
            if objective.calls >= limit:
                break
            fresh = objective.space.random(1, generator)
            current = objective.evaluate(_feasible(objective, fresh, start))
        else:
            current = _take(evaluation, [evaluation.value.argmax()])
        _record(path, objective, current)
    return path


def evolutionary_search(
    objective: Objective,
    start: np.ndarray,
    calls: int,
    generator: np.random.Generator,
    population: int = 64,
) -> Path:
    """Keep the best ``population`` codes; children mix two parents and mutate.

    Arguments as in ``random_search``.
    """
    path, limit = Path(), objective.calls + calls
    first = objective.space.random(min(population, calls) - 1, generator)
    codes = _feasible(objective, np.concatenate([start[None], first]), start)
    first = objective.evaluate(codes)
    alive = _best(first, first, population)
    _record(path, objective, _take(alive, [0]))
    while objective.calls < limit:
        number = min(population, limit - objective.calls)
        parents = generator.integers(0, len(alive.codes), (2, 2, number)).min(0)  # tournament
        mixed = objective.space.cross(alive.codes[parents[0]], alive.codes[parents[1]], generator)
        children = _feasible(objective, objective.space.mutate(mixed, generator), start)
        alive = _best(alive, objective.evaluate(children), population)
        _record(path, objective, _take(alive, [0]))
    return path


def _take(evaluation: Evaluation, rows: list[int] | np.ndarray) -> Evaluation:
    return Evaluation(*(getattr(evaluation, name)[rows] for name in _FIELDS))


def _best(one: Evaluation, other: Evaluation, number: int) -> Evaluation:
    """The best distinct codes of two evaluations, best first."""
    both = Evaluation(
        *(np.concatenate([getattr(one, name), getattr(other, name)]) for name in _FIELDS)
    )
    order = np.argsort(-both.value, kind='stable')
    _, first = np.unique(both.codes[order], axis=0, return_index=True)
    return _take(both, order[np.sort(first)][:number])


_FIELDS = tuple(Evaluation.__dataclass_fields__)
