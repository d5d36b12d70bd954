"""The regression of the tasks' losses and its posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from bmtas.search.surrogate.features import FORMS, sharing_features
from bmtas.search.surrogate.ridge import Ridge, best_fit, smooth_penalty

RIDGES = np.geomspace(0.03, 300, 9)
SMOOTHS = (0.0, *np.geomspace(0.1, 100, 4))
MIN_ROWS = 5


@dataclass(frozen=True)
class Effects:
    """How one task's log loss depends on what it shares.

    Attributes:
        form: Of the features, one of ``FORMS``.
        mean: (D, K) effect of each feature at each location.
        covariance: (D K, D K) of its posterior.
        left_out: (N,) leave-one-out predictions of the rows.
    """

    form: str
    mean: np.ndarray
    covariance: np.ndarray
    left_out: np.ndarray

    def drawn(self, rng: np.random.Generator) -> Effects:
        """The same with a mean drawn from the posterior."""
        mean = rng.multivariate_normal(self.mean.ravel(), self.covariance, method='eigh')
        return replace(self, mean=mean.reshape(self.mean.shape))


@dataclass(frozen=True)
class Surrogate:
    """Predicted losses of trees; scores of partitions for ``tree_front``.

    How a group's size matters is not known, so that for each task several forms of features are
    fitted and averaged with equal weights; in the benchmark of trees no choice among them by
    leave-one-out was as good in all regimes.

    Attributes:
        effects: Of each task, by form.
        elasticities: (T,).
        routes: (N, D, T) of the rows.
        losses: (N, T) of the rows.
        sources: (N,) of the rows.
    """

    effects: tuple[tuple[Effects, ...], ...]
    elasticities: np.ndarray
    routes: np.ndarray
    losses: np.ndarray
    sources: np.ndarray

    similarity = None

    @property
    def num_tasks(self) -> int:
        return len(self.effects)

    @property
    def points(self) -> np.ndarray:
        """(T,) points of gain that one unit of each task's log loss costs."""
        return 100 * self.elasticities / self.num_tasks

    @property
    def left_out(self) -> np.ndarray:
        """(N, T) prediction of each row's losses by the fit to all others."""
        return np.stack([np.mean([one.left_out for one in forms], 0) for forms in self.effects], 1)

    def table(self, rows: np.ndarray) -> np.ndarray:
        """Points (D, N) that partitions (N, T) lose at each location against no sharing."""
        return sum(
            weight / len(forms) * effects.mean @ sharing_features(rows, task, effects.form).T
            for task, (weight, forms) in enumerate(zip(self.points, self.effects))
            for effects in forms
        )

    def gain(self, routes: np.ndarray) -> np.ndarray:
        """Predicted gain (N,) of trees (N, D, T) against Shared, in points."""
        shared = np.zeros_like(routes[:1])
        return self._lost(shared) - self._lost(routes)

    def _lost(self, routes: np.ndarray) -> np.ndarray:
        return sum(self.table(routes[:, d])[d] for d in range(routes.shape[1]))

    def deviation(self, routes: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Posterior deviation (N,) of the gains of trees (N, D, T) less that of one (D, T)."""
        variance = np.zeros(len(routes))
        for task, (weight, forms) in enumerate(zip(self.points, self.effects)):
            means, within = [], []
            for effects in forms:
                x = sharing_features(routes, task, effects.form)
                x = (x - sharing_features(reference, task, effects.form)).reshape(len(routes), -1)
                means.append(x @ effects.mean.ravel())
                within.append(np.einsum('np,pq,nq->n', x, effects.covariance, x))
            variance += weight**2 * (np.mean(within, 0) + np.var(means, 0))
        return np.sqrt(variance)

    def draw(self, rng: np.random.Generator) -> Surrogate:
        """Each task's effects drawn from the posterior of one form, which is drawn first."""
        chosen = [forms[rng.integers(len(forms))] for forms in self.effects]
        return replace(self, effects=tuple((effects.drawn(rng),) for effects in chosen))


def fit_surrogate(
    routes: np.ndarray,
    losses: np.ndarray,
    elasticities: Sequence[float] | None = None,
    sources: Sequence[int] | None = None,
    prior: np.ndarray | None = None,
    forms: Sequence[str] = FORMS,
) -> Surrogate:
    """One regression for each task and form of features; penalties by leave-one-out.

    Args:
        routes: (N, D, T) of the trained trees by location.
        losses: (N, T) log losses on held-out data; NaN for tasks that a row has not.
        elasticities: (T,); ones by default.
        sources: (N,) kind of training of each row; rows of one kind have a constant of their own.
        prior: (D, T, T) affinity; at [d, t, u] how much u is expected to help t. It enters with a
            factor and a constant for each task, which are fitted.
        forms: Forms of the features that are averaged.

    Raises:
        ValueError: Sizes do not fit, values are infinite, a task's loss does not vary, or there
            are too few rows.
    """
    routes, losses = np.asarray(routes), np.asarray(losses, float)
    num, locations, tasks = routes.shape
    if losses.shape != (num, tasks) or np.isinf(losses).any():
        raise ValueError(
            f'losses must be {num} rows of {tasks} finite numbers (or NaN), got an array of '
            f'{losses.shape}'
        )
    sources = np.zeros(num, int) if sources is None else np.asarray(sources)
    elasticities = np.ones(tasks) if elasticities is None else np.asarray(elasticities, float)
    if sources.shape != (num,) or elasticities.shape != (tasks,):
        raise ValueError(f'{num} sources and {tasks} elasticities are needed')
    if prior is not None and np.shape(prior) != (locations, tasks, tasks):
        raise ValueError(f'prior: an array of {(locations, tasks, tasks)}, got {np.shape(prior)}')
    effects = []
    for task in range(tasks):
        known = ~np.isnan(losses[:, task])
        _check_rows(losses[known, task], task)
        affinity = None if prior is None else np.delete(prior[:, task], task, -1)
        rows = routes[known], losses[known, task], sources[known]
        fitted = [_fit_task(*rows, task, affinity, form) for form in forms]
        left_out = np.full((len(forms), num), np.nan)
        left_out[:, known] = [one.left_out for one in fitted]
        effects.append(tuple(replace(one, left_out=row) for one, row in zip(fitted, left_out)))
    return Surrogate(tuple(effects), elasticities, routes, losses, sources)


def left_out_rank(surrogate: Surrogate, costs: np.ndarray) -> float:
    """Spearman's correlation of left-out predictions with measured gains, given the cost.

    Rows that lack a task or its left-out prediction do not count; means of sources are removed.

    Args:
        surrogate: The fit.
        costs: (N,) of the rows.

    Returns:
        -1 to 1; 0 where nothing varies.
    """
    measured, predicted = surrogate.losses @ surrogate.points, surrogate.left_out @ surrogate.points
    rows = np.isfinite(measured) & np.isfinite(predicted)
    measured, predicted, kinds = measured[rows], predicted[rows], surrogate.sources[rows]
    for kind in np.unique(kinds):
        measured[kinds == kind] -= measured[kinds == kind].mean()
        predicted[kinds == kind] -= predicted[kinds == kind].mean()
    return rank_given(measured, predicted, np.asarray(costs)[rows])


def rank_given(first: np.ndarray, second: np.ndarray, given: np.ndarray) -> float:
    """Partial correlation of the ranks of two series (N,) given those of a third."""
    ranks = np.stack([_ranks(values) for values in (first, second, given)])
    deviations = ranks.std(1)
    if len(first) < 4 or (deviations[:2] == 0).any():
        return 0.0
    if deviations[2] == 0:
        return float(np.corrcoef(ranks[:2])[0, 1])
    ab, ac, bc = np.corrcoef(ranks)[[0, 0, 1], [1, 2, 2]]
    rest = (1 - ac**2) * (1 - bc**2)
    return float((ab - ac * bc) / np.sqrt(rest)) if rest > 1e-12 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def _check_rows(losses: np.ndarray, task: int) -> None:
    if len(losses) < MIN_ROWS:
        raise ValueError(
            f'the regression needs at least {MIN_ROWS} trained trees for each task, task number '
            f'{task} has {len(losses)}: train more trees'
        )
    if np.ptp(losses) == 0:
        raise ValueError(f'the loss of task number {task} is the same in all {len(losses)} trees')


def _fit_task(
    routes: np.ndarray,
    losses: np.ndarray,
    sources: np.ndarray,
    task: int,
    affinity: np.ndarray | None,
    form: str,
) -> Effects:
    """Regression of one task's losses (N,) on features of one form, with the best penalties."""
    free = (sources[:, None] == np.unique(sources)).astype(float)
    x = sharing_features(routes, task, form)
    lift = np.zeros((0 if affinity is None else 2, *x.shape[1:]))
    if affinity is not None:
        lift[0, :, : affinity.shape[1]], lift[1, :, : affinity.shape[1]] = -affinity, 1
    design = np.concatenate([free, np.einsum('ndk,jdk->nj', x, lift)], 1)
    penalties = [smooth_penalty(*x.shape[1:], *pair) for pair in product(RIDGES, SMOOTHS)]
    fit = best_fit(design, x.reshape(len(x), -1), losses, np.array(penalties))
    return _effects(fit, lift, form, free.shape[1])


def _effects(fit: Ridge, lift: np.ndarray, form: str, num_free: int) -> Effects:
    """From the coefficients to the effects of the features alone.

    Args:
        fit: Its columns: ``num_free`` constants, J common effects, D K features.
        lift: (J, D, K) what a unit of each common effect adds to the effects of the features.
        form, num_free: See there.
    """
    shape = lift.shape[1:]
    size = shape[0] * shape[1]
    transform = np.concatenate([lift.reshape(-1, size), np.eye(size)])
    mean = fit.coefficients[num_free:] @ transform
    covariance = transform.T @ fit.covariance[num_free:, num_free:] @ transform
    return Effects(form, mean.reshape(shape), covariance, fit.left_out)
