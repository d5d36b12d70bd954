"""odsF, oisF and AP against hand-computed cases."""

import numpy as np
import pytest

from bmtas.evaluation.boundaries.scores import (
    average_precision,
    best_counts,
    f_measure,
    recall_precision_f,
    summarize,
)

FIRST = np.array([[90, 100, 90, 200], [50, 100, 50, 60], [10, 100, 10, 10]])
SECOND = np.array([[80, 100, 80, 90], [40, 100, 40, 40], [0, 100, 0, 0]])
THRESHOLDS = np.array([0.25, 0.5, 0.75])


def test_ods_and_ois():
    best = best_counts(FIRST) + best_counts(SECOND)
    # image F: first 0.6, 0.625, 0.18; second 0.84, 0.57, 0
    np.testing.assert_array_equal(best, FIRST[1] + SECOND[0])
    found = summarize(FIRST + SECOND, best, THRESHOLDS)
    recall, precision = 170 / 200, 170 / 290
    expected = (0.25, recall, precision, 2 * recall * precision / (recall + precision))
    assert found.ods == pytest.approx(expected)
    assert found.ois == pytest.approx((130 / 200, 130 / 150, 2 * 130 / 350))


def test_interpolation_never_lowers_the_best_f():
    total = FIRST + SECOND
    plain = summarize(total, total[0], THRESHOLDS)
    fine = summarize(total, total[0], THRESHOLDS, interpolate=True)
    recall, precision, _ = recall_precision_f(total)
    share = np.linspace(0, 1, 20001)
    curve = f_measure(
        recall[0] + share * (recall[1] - recall[0]),
        precision[0] + share * (precision[1] - precision[0]),
    )
    assert fine.ods[3] == pytest.approx(curve.max(), abs=1e-5)
    assert fine.ods[3] > plain.ods[3]
    assert 0.25 < fine.ods[0] < 0.5


def test_average_precision_of_a_line():
    # precision falls from 1 at recall 0.195 to 0.49 at recall 0.705, nothing is known outside
    steps = np.arange(20, 71) / 100
    expected = (1 - (steps - 0.195)).sum() / 100
    found = average_precision(np.array([0.705, 0.195]), np.array([0.49, 1.0]))
    assert found == pytest.approx(expected)
    # a recall that occurs twice: the highest threshold counts
    doubled = average_precision(np.array([0.705, 0.195, 0.195]), np.array([0.49, 0.1, 1.0]))
    assert doubled == pytest.approx(expected)
    assert average_precision(np.array([0.4]), np.array([1.0])) == 0


def test_degenerate_counts():
    counts = np.array([[0, 0, 0, 5], [0, 7, 0, 0], [0, 0, 0, 0], [0, 4, 0, 4]])
    recall, precision, f = recall_precision_f(counts)
    assert recall.tolist() == [1, 0, 0, 0]
    assert precision.tolist() == [0, 1, 1, 0]
    assert f.tolist() == [0, 0, 0, 0]
