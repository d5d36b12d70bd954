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


@pytest.mark.parametrize(
    ('values', 'options', 'message'),
    [
        ([[0, 1, 255]], {}, 'm.png: the mask holds 1 and 255; say ignore=255'),
        ([[0, -1, 1]], {}, 'm.png: the mask holds -1; say ignore=-1'),
        ([[0, -2, -1]], dict(ignore=-1), 'the mask holds -2'),
        ([[0.0, -1.0, 0.7]], {}, 'the mask holds -1; say ignore=-1'),
    ],
)
def test_values_that_could_mean_anything(values, options, message):
    with pytest.raises(ValueError, match=message):
        Mask(**options).decode(np.array(values), PATH)


@pytest.mark.parametrize('options', [dict(ignore=255), dict(threshold=127), dict(ignore=[])])
def test_what_was_said_counts(options):
    expected = {'ignore=255': [0, 1, 255], 'threshold=127': [0, 0, 1], 'ignore=[]': [0, 1, 1]}
    (name,) = [f'{key}={value}' for key, value in options.items()]
    found = Mask(**options).decode(np.array([[0, 1, 255]], np.uint8), PATH)
    assert found.tolist() == [expected[name]]
    # a map of greys is one of probabilities
    assert Mask().decode(np.array([[0, 1, 128, 255]], np.uint8), PATH).tolist() == [[0, 1, 1, 1]]


def test_error_and_constants():
    label = torch.tensor([[1, 1, 0, 255]])
    assert Mask().error(torch.tensor([[0.9, 0.1, 0.9, 0.9]]), label) == pytest.approx(2 / 3)
    assert [float(c) for c in Mask().constants(Mask().label_sums(label))] == [1.0, 0.0]
