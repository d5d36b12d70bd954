import numpy as np
import pytest
import torch
from loss_samples import draw_labels, make


def numpy_bce(logits, target, weight):
    z, y = logits[:, 0].double().numpy(), target.numpy()
    valid = y != 255
    p = 1 / (1 + np.exp(-z))
    costs = -(weight * (y == 1) * np.log(p) + (1 - weight) * (y == 0) * np.log(1 - p))
    return costs[valid].mean()


def test_weighted_bce():
    target, logits = draw_labels('WeightedBCELoss')
    target[0, 0] = 255
    loss = make('WeightedBCELoss', pos_weight=0.8)
    assert loss(logits, target).item() == pytest.approx(numpy_bce(logits, target, 0.8), rel=1e-5)


def test_balanced_bce_weighs_by_the_negatives_of_the_batch():
    target, logits = draw_labels('BalancedBCELoss')
    target[0, 0] = 255
    weight = (target == 0).sum().item() / (target != 255).sum().item()
    loss = make('BalancedBCELoss')
    assert loss(logits, target).item() == pytest.approx(numpy_bce(logits, target, weight), rel=1e-5)


@pytest.mark.parametrize('value', [0, 1])
def test_balanced_bce_of_one_class_still_teaches(value):
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    make('BalancedBCELoss')(logits, torch.full((1, 2, 2), value)).backward()
    assert (logits.grad * (1 - 2 * value) > 0).all()
