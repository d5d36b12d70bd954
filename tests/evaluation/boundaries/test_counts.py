"""Properties of the counts of one image."""

import numpy as np
import pytest

from bmtas.evaluation.boundaries import image_counts, make_thresholds
from bmtas.evaluation.boundaries.scores import recall_precision_f
from bmtas.thinning import thin

HALF = np.array([0.5])


def square(row=10, column=12, size=20):
    """The thinned outline of a square in a map of 60 x 80 (diagonal 100)."""
    lines = np.zeros((60, 80), bool)
    lines[row : row + size, [column, column + size - 1]] = True
    lines[[row, row + size - 1], column : column + size] = True
    return thin(lines)


def scores(probability, truths, tolerance=0.03, **options):
    """Recall, precision, F at threshold 0.5."""
    counts = image_counts(probability.astype(float), truths, HALF, tolerance, **options)
    return tuple(float(value[0]) for value in recall_precision_f(counts))


def test_perfect_prediction():
    assert scores(square(), [square()]) == (1, 1, 1)


def test_empty_prediction():
    assert scores(np.zeros((60, 80)), [square()]) == (0, 1, 0)


def test_empty_truth():
    assert scores(square(), [np.zeros((60, 80), bool)]) == (1, 0, 0)


def test_both_empty():
    assert scores(np.zeros((60, 80)), [np.zeros((60, 80), bool)])[2] == 0


@pytest.mark.parametrize('shift, inside', [((0, 1), 0.0101), ((2, 0), 0.0201), ((3, 4), 0.0501)])
def test_shift_inside_and_outside_the_tolerance(shift, inside):
    line = np.zeros((60, 80), bool)
    line[10, 12] = True
    moved = np.roll(line, shift, (0, 1))
    assert scores(moved, [line], inside) == (1, 1, 1)
    assert scores(moved, [line], inside - 0.0005) == (0, 0, 0)


def test_shifted_outline_within_the_tolerance():
    assert scores(square(11, 13), [square()], 0.02) == (1, 1, 1)
    # half the outline still crosses or touches itself after a larger shift, never all of it
    assert scores(square(14, 16), [square()], 0.02)[2] < 0.7


def test_a_true_pixel_is_matched_once():
    # two parallel lines cannot both be matched with one
    lines = np.zeros((60, 80), bool)
    lines[[20, 23], 10:50] = True
    truth = np.zeros((60, 80), bool)
    truth[21, 10:50] = True
    assert scores(lines, [truth])[:2] == (1, 0.5)


def test_annotators_precision_is_or_recall_is_summed():
    first, second = np.zeros((2, 60, 80), bool)
    first[20, 10:50] = True
    second[40, 10:50] = True
    assert scores(first, [first, second])[:2] == (0.5, 1)
    assert scores(first | second, [first, second])[:2] == (1, 1)
    assert scores(first | second, [first])[:2] == (1, 0.5)
    counts = image_counts((first | second).astype(float), [first, second], HALF, 0.03)
    assert counts.tolist() == [[80, 80, 80, 80]]


def test_prediction_is_thinned():
    wide = np.zeros((60, 80))
    wide[19:22, 10:50] = 1
    line = np.zeros((60, 80), bool)
    line[20, 10:50] = True
    counts = image_counts(wide, [line], HALF, 0.03)[0]
    assert counts[3] <= 40
    assert counts[2] == counts[3]


def test_ignored_pixels_do_not_count():
    lines = square() | square(10, 50)
    ignored = np.zeros((60, 80), bool)
    ignored[:, 45:] = True
    assert scores(lines, [square()])[1] == 0.5
    assert scores(lines, [square()], ignored=ignored) == (1, 1, 1)


def test_tolerance_is_a_fraction_of_the_diagonal():
    line, moved = np.zeros((2, 120, 160), bool)
    line[20, 10:50] = True
    moved[23, 10:50] = True
    assert scores(moved, [line], 0.0151)[2] == 1
    assert scores(moved, [line], 0.0149)[2] < 1


def test_every_threshold_counts_as_if_alone():
    rng = np.random.default_rng(0)
    probability = np.round(rng.random((40, 50)) ** 3, 1)
    truths = [rng.random((40, 50)) < 0.05 for _ in range(2)]
    thresholds = make_thresholds(19)
    together = image_counts(probability, truths, thresholds, 0.03)
    alone = [image_counts(probability, truths, thresholds[[k]], 0.03)[0] for k in range(19)]
    np.testing.assert_array_equal(together, alone)


def test_comparison_with_the_threshold():
    probability = 0.5 * square()
    assert image_counts(probability, [square()], HALF)[0, 3] > 0
    assert image_counts(probability, [square()], HALF, strict=True)[0, 3] == 0


def test_thresholds():
    np.testing.assert_allclose(make_thresholds(99), np.arange(1, 100) / 100)
    long = make_thresholds(101)
    assert len(long) == 101
    np.testing.assert_allclose(long[[0, 1, 50, 99, 100]], [0.001, 0.01, 0.5, 0.99, 0.999])
    # rounding as in the Berkeley benchmark: level 85 of 255 is not in its second of five masks
    assert make_thresholds(5)[1] > 85 / 255
    with pytest.raises(ValueError, match='at least one'):
        make_thresholds(0)
