import pytest
import torch
from loss_samples import make


def test_normals_sum_the_channels_and_scale_the_prediction():
    target = torch.zeros(1, 3, 1, 2)
    target[0, 2, 0, 0] = 1
    logits = torch.zeros(1, 3, 1, 2)
    logits[0, 0] = 7
    loss = make('NormalsL1Loss')
    assert loss(logits, target).item() == pytest.approx(2)


def test_depth():
    target = torch.tensor([[[2.0, 0.0], [1.0, 4.0]]])
    logits = torch.tensor([[[[3.0, 9.0], [1.0, 2.0]]]])
    assert make('DepthL1Loss')(logits, target).item() == pytest.approx(1)
