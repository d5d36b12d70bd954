"""The own thinning against scikit-image's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.morphology import thin as skimage_thin

from bmtas.evaluation.boundaries import thin, thinning


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_equals_skimage_on_any_map(mask):
    np.testing.assert_array_equal(thin(mask), skimage_thin(mask))


@pytest.mark.parametrize('width', [3, 7, 15])
def test_equals_skimage_on_blobs(width):
    noise = np.random.default_rng(width).normal(size=(90, 70))
    mask = ndimage.uniform_filter(noise, width) > 0
    np.testing.assert_array_equal(thin(mask), skimage_thin(mask))


def test_without_numba(monkeypatch):
    mask = np.random.default_rng(0).random((20, 20)) < 0.7
    expected = thin(mask)
    monkeypatch.setattr(thinning, 'have_numba', lambda: False)
    monkeypatch.setattr(thinning, 'thin_in_place', None)
    np.testing.assert_array_equal(thin(mask), expected)


def test_plain_python_gives_the_same():
    mask = np.random.default_rng(1).random((14, 11)) < 0.8
    padded = np.pad(mask, 1).astype(np.uint8)
    kernel = thinning.thin_in_place.__wrapped__
    kernel(padded.ravel(), padded.shape[1], thinning.deletion_tables())
    np.testing.assert_array_equal(padded[1:-1, 1:-1].astype(bool), skimage_thin(mask))


def test_input_stays_as_it_is():
    mask = np.ones((6, 9), bool)
    thin(mask)
    assert mask.all()


def test_columns_in_a_row_as_in_files_of_matlab():
    mask = np.random.default_rng(1).random((30, 40)) < 0.6
    found = thin(np.asfortranarray(mask))
    np.testing.assert_array_equal(found, skimage_thin(mask))
    assert found.sum() < mask.sum()
