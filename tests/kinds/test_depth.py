"""Depth: marks for "no measurement"."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bmtas.kinds import Depth

PATH = Path('d.png')


@pytest.mark.parametrize(('dtype', 'top'), [(np.uint8, 255), (np.uint16, 65535)])
def test_the_largest_unsigned_value_is_no_distance(dtype, top):
    raw = np.array([[0, 7, top]], dtype)
    np.testing.assert_allclose(Depth(scale=0.5).decode(raw, PATH), [[0, 3.5, 0]])
    kept = Depth(invalid=[0]).decode(raw, PATH)
    np.testing.assert_allclose(kept, [[0, 7, top]])


def test_other_marks():
    raw = np.array([[0, 7, 9999, 65535]], np.uint16)
    found = Depth(invalid=[9999, 65535]).decode(raw, PATH)
    np.testing.assert_allclose(found, [[0, 7, 0, 0]])
    signed = np.array([[-1, 4, 32767]], np.int16)
    np.testing.assert_allclose(Depth(invalid=-1).decode(signed, PATH), [[0, 4, 32767]])
    with pytest.raises(ValueError, match='d.png: 1 depths are NaN, infinite or negative'):
        Depth().decode(signed, PATH)
    floats = np.array([[np.nan, np.inf, -2.0, 3.0]])
    np.testing.assert_allclose(Depth(nan_invalid=True).decode(floats, PATH), [[0, 0, 0, 3]])


def test_far_predictions_do_not_become_marks():
    written = Depth().to_file(torch.tensor([[1.5, 70.0]]))
    np.testing.assert_allclose(Depth(scale=0.001).decode(written, PATH), [[1.5, 65.534]], rtol=1e-5)


def test_zoom_divides():
    array = np.array([[2.0, 4.0]], np.float32)
    np.testing.assert_allclose(Depth().resize(array, (1, 4), zoom=2.0), [[1, 1, 2, 2]])
    np.testing.assert_allclose(Depth().resize(array, (1, 4)), [[2, 2, 4, 4]])


def test_options():
    for scale in (0, -1.0, float('inf')):
        with pytest.raises(ValueError, match='scale must be positive'):
            Depth(scale=scale)
