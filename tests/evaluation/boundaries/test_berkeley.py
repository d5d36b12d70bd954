"""The Berkeley benchmark's own figures for its five test images."""

import numpy as np
import pytest

from bmtas.evaluation.boundaries import Protocol, find_pairs, run_benchmark
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
