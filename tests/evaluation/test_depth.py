import math

import pytest
import torch
from scored import run

from bmtas.evaluation import DepthError


def test_depth_by_hand():
    target = torch.tensor([[2.0, 4.0], [0.0, float('inf')]])
    prediction = torch.tensor([[2.2, 2.0], [7.0, 7.0]])
    found = run(DepthError('depth', 'depth'), [(prediction, target)])
    assert found['rmse'] == pytest.approx(math.sqrt((0.04 + 4) / 2))
    logs = [math.log(1.1), math.log(0.5)]
    assert found['rmse_log'] == pytest.approx(math.sqrt(sum(x * x for x in logs) / 2))
    assert found['abs_rel'] == pytest.approx((0.1 + 0.5) / 2)
    assert [found[f'delta{i}'] for i in (1, 2, 3)] == pytest.approx([50, 50, 50])


def test_depth_is_pixel_wise_and_clamps_predictions():
    small = (torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    large = (torch.full((1, 3), -5.0), torch.ones(1, 3))
    found = run(DepthError('depth', 'depth', min_depth=0.5), [small, large])
    assert found['rmse'] == pytest.approx(math.sqrt((1 + 3 * 0.25) / 4))
    with pytest.raises(ValueError, match='min_depth'):
        DepthError('depth', 'depth', min_depth=0)
