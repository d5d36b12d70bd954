import math

import pytest
import torch
from scored import run

from bmtas.evaluation import EdgeFMeasure


def test_edge_by_hand():
    target = torch.tensor([[1, 0], [1, 255]])
    prediction = torch.tensor([[0.8, 0.6], [0.4, 0.9]])
    # >= 0.8: P 1, R 1/2, F 2/3; >= 0.4: P 2/3, R 1, F 4/5
    found = run(EdgeFMeasure('edge', 'mask'), [(prediction, target)])
    assert found['F'] == pytest.approx(80)
    assert found['precision'] == pytest.approx(200 / 3)
    assert found['recall'] == pytest.approx(100)
    assert 0 < found['threshold'] <= 0.401


def test_edge_without_any_edge_is_nan():
    with pytest.warns(UserWarning, match='labelled pixel'):
        found = run(EdgeFMeasure('edge', 'mask'), [(torch.zeros(2, 2), torch.zeros(2, 2).long())])
    assert all(math.isnan(value) for value in found.values())
