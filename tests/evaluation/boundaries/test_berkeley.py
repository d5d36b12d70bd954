"""The Berkeley benchmark's own figures for its five test images."""

import numpy as np
import pytest

from bmtas.evaluation.boundaries import (
    PROTOCOLS,
    Protocol,
    find_pairs,
    image_counts,
    run_benchmark,
)
from bmtas.evaluation.boundaries.files import read_prediction, read_truths
from bmtas.evaluation.boundaries.scores import recall_precision_f

TOLERANCE = 1e-3


@pytest.fixture
def folder(data_root):
    folder = data_root / 'bsds500_bench'
    if not folder.is_dir():
        pytest.skip(f'{folder} not found')
    return folder


@pytest.mark.data
def test_figures_of_the_benchmark(folder):
    pairs = find_pairs(folder / 'png', folder / 'groundTruth')
    scores, counts = run_benchmark(pairs, Protocol(thresholds=5, interpolate=True))
    figures = np.loadtxt(folder / 'test_2' / 'eval_bdry_thr.txt')
    found = np.stack([scores.curve[key] for key in ('threshold', 'recall', 'precision', 'f')], 1)
    np.testing.assert_allclose(found, figures, atol=TOLERANCE)
    threshold, *ods_ois_ap = np.loadtxt(folder / 'test_2' / 'eval_bdry.txt')
    assert scores.ods[0] == pytest.approx(threshold, abs=1e-6)
    assert [*scores.ods[1:], *scores.ois, scores.ap] == pytest.approx(ods_ois_ap, abs=TOLERANCE)
    for figure, image in zip(np.loadtxt(folder / 'test_2' / 'eval_bdry_img.txt'), counts.values()):
        # without interpolation: one of the five thresholds, not above the interpolated best
        assert recall_precision_f(image)[2].max() <= figure[4] + TOLERANCE


# what Berkeley's own C++ matching counts when its pixels have sixty outliers to go to, not six
COUNTS = [
    ('2018', 'bsds-raw', 1 / 6, 9251, 2489),
    ('2018', 'bsds-raw', 0.5, 7472, 1608),
    ('2018', 'bsds-hed', 0.2, 7486, 1615),
    ('2018', 'bsds-hed', 0.5, 2371, 489),
    ('3063', 'bsds-raw', 0.5, 5714, 1120),
    ('3063', 'bsds-hed', 0.2, 5728, 1123),
]


@pytest.mark.data
@pytest.mark.parametrize('name, protocol, threshold, truth, prediction', COUNTS)
def test_counts_of_its_own_matching(folder, name, protocol, threshold, truth, prediction):
    image, annotators = folder / 'png' / f'{name}.png', folder / 'groundTruth' / f'{name}.mat'
    prepared = PROTOCOLS[protocol].prepare(read_prediction(image))
    counts = image_counts(prepared, read_truths(annotators), np.array([threshold]))[0]
    assert (counts[0], counts[2]) == (truth, prediction)
