import numpy as np
import pytest
import torch

from bmtas.kinds import Classes
from bmtas.registry import MODELS

SHAPES = {
    'CrossEntropyLoss': (5, (2, 4, 6), 255),
    'BalancedBCELoss': (1, (2, 4, 6), 255),
    'WeightedBCELoss': (1, (2, 4, 6), 255),
    'DepthL1Loss': (1, (2, 4, 6), 0),
    'NormalsL1Loss': (3, (2, 3, 4, 6), 0),
}


KINDS = {
    'CrossEntropyLoss': Classes(5),
    'BalancedBCELoss': 'mask',
    'WeightedBCELoss': 'mask',
    'DepthL1Loss': 'depth',
    'NormalsL1Loss': 'normals',
}


def make(name, **options):
    return MODELS.build(dict(type=name, kind=KINDS[name], **options))


def unlabelled(name):
    channels, shape, value = SHAPES[name]
    dtype = torch.int64 if value else torch.float32
    return torch.full(shape, value, dtype=dtype), channels


def draw_labels(name, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target, channels = unlabelled(name)
    if name == 'DepthL1Loss':
        target = torch.rand(target.shape, generator=generator) + 0.5
    elif name == 'NormalsL1Loss':
        vectors = torch.randn(target.shape, generator=generator)
        target = torch.nn.functional.normalize(vectors, dim=1)
    else:
        target = torch.randint(0, max(2, channels), target.shape, generator=generator)
    return target, torch.randn(2, channels, 4, 6, generator=generator)


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
