"""Losses with the kinds that they are for, and labels of these kinds."""

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
