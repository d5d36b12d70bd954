"""Masks: thresholds and marks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bmtas.kinds import Mask

PATH = Path('m.png')


def test_values_of_any_type():
    np.testing.assert_array_equal(Mask().decode(np.array([[True, False]]), PATH), [[1, 0]])
    np.testing.assert_array_equal(
        Mask(threshold=127, ignore=[-1, 64]).decode(np.array([[-1, 64, 128, 3]]), PATH),
        [[255, 255, 1, 0]],
    )
    with pytest.raises(ValueError, match='m.png: 1 values of the mask are NaN'):
        Mask().decode(np.array([[np.nan, 1.0]]), PATH)


def test_error_and_constants():
    label = torch.tensor([[1, 1, 0, 255]])
    assert Mask().error(torch.tensor([[0.9, 0.1, 0.9, 0.9]]), label) == pytest.approx(2 / 3)
    assert [float(c) for c in Mask().constants(Mask().label_sums(label))] == [1.0, 0.0]
