import math

import numpy as np
import pytest
import torch
from scored import run

from bmtas.evaluation import NormalsError


def test_normals_by_hand():
    target = torch.zeros(3, 2, 2)
    target[2, 0] = -1
    target[0, 1, 0] = 1
    prediction = torch.zeros(3, 2, 2)
    prediction[2] = -2.0
    prediction[:, 0, 1] = torch.tensor([math.tan(math.radians(20)), 0, -1])
    # angles 0, 20 and 90 degrees; the fourth pixel has no label
    found = run(NormalsError('normals', 'normals'), [(prediction, target)])
    assert found['mean'] == pytest.approx(110 / 3)
    assert found['median'] == pytest.approx(20, abs=0.01)
    assert found['rmse'] == pytest.approx(math.sqrt((400 + 8100) / 3))
    shares = [found[f'within_{limit}'] for limit in ('11.25', '22.5', '30')]
    assert shares == pytest.approx([100 / 3, 200 / 3, 200 / 3])


def test_normals_against_arccos():
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(2, 2, 3, 8, 9)).astype(np.float32)
    unit = maps / np.linalg.norm(maps, axis=2, keepdims=True)
    angle = np.degrees(np.arccos(np.clip((unit[:, 0] * unit[:, 1]).sum(1), -1, 1)))
    found = run(NormalsError('normals', 'normals'), [tuple(torch.from_numpy(m)) for m in maps])
    assert found['mean'] == pytest.approx(angle.mean(), abs=1e-4)
    assert found['median'] == pytest.approx(np.median(angle), abs=0.5)
    assert found['rmse'] == pytest.approx(math.sqrt((angle**2).mean()), abs=1e-4)


def test_normals_median_resolution():
    angles = torch.linspace(0.003, 179.9, 2001)
    prediction = torch.stack([angles.deg2rad().sin(), torch.zeros(2001), angles.deg2rad().cos()])
    target = torch.tensor([0.0, 0, 1])[:, None].expand(3, 2001)
    found = run(NormalsError('normals', 'normals'), [(prediction[:, :, None], target[:, :, None])])
    assert found['median'] == pytest.approx(float(angles.median()), abs=0.01)
