"""Linear regression with a general quadratic penalty and exact leave-one-out errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ridge:
    """min over (a, b) of |y - free a - x b|^2 + b' penalty b.

    Attributes:
        coefficients: (q + p,) a, then b.
        covariance: (q + p, q + p) of the posterior, the penalty taken as the prior of b.
        left_out: (N,) prediction of each row by the fit to all others; NaN where a row alone
            determines a coefficient.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    left_out: np.ndarray


def fit_ridge(free: np.ndarray, x: np.ndarray, y: np.ndarray, penalty: np.ndarray) -> Ridge:
    """The fit of ``Ridge``.

    The residual of a row that is left out is r / (1 - h), with h its leverage. The noise is
    estimated by the sum of squared residuals over the rows less the trace of the leverages.

    Args:
        free: (N, q) columns without penalty, linearly independent.
        x: (N, p) penalised columns.
        y: (N,).
        penalty: (p, p) positive definite.
    """
    columns = np.concatenate([free, x], 1)
    matrix = columns.T @ columns
    matrix[free.shape[1] :, free.shape[1] :] += penalty
    inverse = np.linalg.inv(matrix)
    coefficients = inverse @ (columns.T @ y)
    leverage = np.einsum('np,pq,nq->n', columns, inverse, columns)
    residual = y - columns @ coefficients
    noise = (residual**2).sum() / max(len(y) - leverage.sum(), 1)
    alone = leverage > 1 - 1e-9
    with np.errstate(divide='ignore', invalid='ignore'):
        left_out = np.where(alone, np.nan, y - residual / (1 - leverage))
    return Ridge(coefficients, noise * inverse, left_out)


def smooth_penalty(num_locations: int, num_columns: int, ridge: float, smooth: float) -> np.ndarray:
    """ridge * sum b^2 + smooth * sum of squared steps from one location to the next.

    Args:
        num_locations: D.
        num_columns: K, of each location; coefficients lie in the order (D, K).
        ridge, smooth: The factors.

    Returns:
        (D K, D K).
    """
    steps = np.diff(np.eye(num_locations), axis=0)
    along = ridge * np.eye(num_locations) + smooth * steps.T @ steps
    return np.kron(along, np.eye(num_columns))


def best_fit(free: np.ndarray, x: np.ndarray, y: np.ndarray, penalties: np.ndarray) -> Ridge:
    """The fit of lowest leave-one-out error; of equal ones the first.

    Args:
        free, x, y: See ``fit_ridge``.
        penalties: (K, p, p).
    """
    columns = np.concatenate([free, x], 1)
    matrices = np.tile(columns.T @ columns, (len(penalties), 1, 1))
    matrices[:, free.shape[1] :, free.shape[1] :] += penalties
    influence = columns @ np.linalg.inv(matrices) @ columns.T  # (K, N, N)
    room = 1 - np.diagonal(influence, axis1=1, axis2=2)
    errors = (y - influence @ y) / np.where(room > 1e-9, room, np.nan)
    return fit_ridge(free, x, y, penalties[np.nanmean(errors**2, 1).argmin()])
