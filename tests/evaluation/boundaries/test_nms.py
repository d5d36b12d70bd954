"""Non-maximum suppression on ridges whose maxima are known."""

import numpy as np
import pytest

from bmtas.evaluation.boundaries import suppress_non_maxima
from bmtas.evaluation.boundaries.nms import orientation


def ridge(degrees, size=61):
    """A soft line through the centre; its normal points at that angle, x right and y down."""
    y, x = np.mgrid[:size, :size] - size // 2
    angle = np.deg2rad(degrees)
    distance = x * np.cos(angle) + y * np.sin(angle)
    return np.exp(-(distance**2) / 8), np.abs(distance)


@pytest.mark.parametrize('degrees', [0, 20, 45, 70, 90, 110, 135, 160])
def test_only_the_crest_stays(degrees):
    probability, distance = ridge(degrees)
    kept = suppress_non_maxima(probability)
    inside = np.zeros_like(kept, bool)
    inside[8:-8, 8:-8] = True
    near = inside & (distance < 0.4)
    far = inside & (distance > 1.2) & (distance < 7.5)
    assert (kept[near] == probability[near]).mean() > 0.95
    assert (kept[far] == 0).all()


@pytest.mark.parametrize('degrees', [0, 30, 45, 60, 90, 120, 135, 150])
def test_orientation_is_that_of_the_published_formula(degrees):
    probability, distance = ridge(degrees)
    tangent = np.tan(np.deg2rad(degrees))
    expected = np.rad2deg(np.arctan(tangent * abs(tangent))) % 180
    found = np.rad2deg(orientation(probability))[15:-15, 15:-15][distance[15:-15, 15:-15] < 1]
    assert np.abs((found - expected + 90) % 180 - 90).max() < 1


def test_frame_fades_to_zero():
    kept = suppress_non_maxima(np.ones((30, 40)))
    assert kept[0].max() == kept[:, -1].max() == 0
    np.testing.assert_allclose(kept[2, 10:30], 0.4)
    np.testing.assert_allclose(kept[10:20, 37], 0.4)
    assert (kept[5:-5, 5:-5] == 1).all()


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (3, 3)])
def test_tiny_maps(shape):
    assert suppress_non_maxima(np.ones(shape)).shape == shape
