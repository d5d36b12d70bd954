"""Thinning against scikit-image, pixel for pixel."""

import numpy as np
import pytest
from skimage.morphology import thin as skimage_thin

from bmtas.thinning import thin


@pytest.mark.parametrize('density', [0.05, 0.3, 0.5, 0.7, 0.95, 1.0, 0.0])
def test_random_masks(density):
    rng = np.random.default_rng(int(100 * density))
    for height, width in ((1, 1), (1, 9), (7, 1), (20, 31), (48, 33)):
        mask = rng.random((height, width)) < density
        np.testing.assert_array_equal(thin(mask), skimage_thin(mask))


def test_thick_shapes():
    ys, xs = np.mgrid[:60, :80]
    disc = np.hypot(ys - 30, xs - 40) < 25
    ring = disc & (np.hypot(ys - 30, xs - 40) > 12)
    bars = (xs % 17 < 6) | (ys % 23 < 5)
    for mask in (disc, ring, bars, (ys + xs) % 9 < 4):
        before = mask.copy()
        result = thin(mask)
        np.testing.assert_array_equal(result, skimage_thin(mask))
        np.testing.assert_array_equal(mask, before)
        assert result.dtype == bool and not (result & ~mask).any()


def test_columns_in_a_row_as_in_files_of_matlab():
    mask = np.random.default_rng(1).random((30, 40)) < 0.6
    found = thin(np.asfortranarray(mask))
    np.testing.assert_array_equal(found, skimage_thin(mask))
    assert found.sum() < mask.sum()
