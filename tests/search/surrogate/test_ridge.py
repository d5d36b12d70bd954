import numpy as np
import pytest

from bmtas.search.surrogate.ridge import best_fit, fit_ridge, smooth_penalty


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    free = np.eye(2)[rng.integers(0, 2, 20)]
    x = rng.standard_normal((20, 6))
    y = x @ rng.standard_normal(6) + free @ [1.0, -2.0] + 0.3 * rng.standard_normal(20)
    return free, x, y, smooth_penalty(3, 2, 0.5, 2.0)


def test_coefficients_are_those_of_least_squares_with_the_penalty_as_further_rows(problem):
    free, x, y, penalty = problem
    root = np.linalg.cholesky(penalty).T
    rows = np.block([[free, x], [np.zeros((6, 2)), root]])
    expected = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(6)]), rcond=None)[0]
    np.testing.assert_allclose(fit_ridge(*problem).coefficients, expected, atol=1e-10)


def test_left_out_predictions_are_those_of_refits(problem):
    free, x, y, penalty = problem
    fit = fit_ridge(*problem)
    for row in range(len(y)):
        rest = np.arange(len(y)) != row
        other = fit_ridge(free[rest], x[rest], y[rest], penalty).coefficients
        expected = np.concatenate([free[row], x[row]]) @ other
        assert fit.left_out[row] == pytest.approx(expected, abs=1e-9)


def test_a_row_that_alone_has_a_constant_has_no_left_out_prediction(problem):
    free, x, y, penalty = problem
    free = np.concatenate([free, np.zeros((20, 1))], 1)
    free[7] = [0, 0, 1]
    fit = fit_ridge(free, x, y, penalty)
    assert np.flatnonzero(np.isnan(fit.left_out)).tolist() == [7]


def test_smooth_penalty_is_the_written_sum():
    b = np.random.default_rng(1).standard_normal((4, 3))
    expected = 0.7 * (b**2).sum() + 1.9 * (np.diff(b, axis=0) ** 2).sum()
    assert b.ravel() @ smooth_penalty(4, 3, 0.7, 1.9) @ b.ravel() == pytest.approx(expected)


def test_covariance_is_that_of_repeated_draws_from_the_prior():
    """Bayes: b ~ N(0, s^2 / penalty), y = x b + s noise; estimates miss b by the covariance."""
    rng = np.random.default_rng(2)
    x, penalty, scale = rng.standard_normal((12, 2)), np.diag([1.0, 4.0]), 0.5
    errors, stated = [], []
    for _ in range(4000):
        b = scale * rng.standard_normal(2) / np.sqrt(np.diag(penalty))
        y = x @ b + 1 + scale * rng.standard_normal(12)
        fit = fit_ridge(np.ones((12, 1)), x, y, penalty)
        errors.append(fit.coefficients[1:] - b)
        stated.append(fit.covariance[1:, 1:])
    np.testing.assert_allclose(np.cov(np.array(errors).T), np.mean(stated, 0), rtol=0.15, atol=2e-3)


def test_best_fit_has_the_lowest_left_out_error(problem):
    free, x, y, _ = problem
    penalties = np.array([smooth_penalty(3, 2, ridge, 0) for ridge in (0.01, 1.0, 100.0)])
    fits = [fit_ridge(free, x, y, penalty) for penalty in penalties]
    expected = min(fits, key=lambda fit: ((fit.left_out - y) ** 2).mean())
    found = best_fit(free, x, y, penalties)
    np.testing.assert_array_equal(found.coefficients, expected.coefficients)
