"""Losses: logits and label maps in, a scalar out; 0 with a graph where nothing is labelled."""

from bmtas.models.losses.category import CategoryLoss
from bmtas.models.losses.classes import CrossEntropyLoss
from bmtas.models.losses.dense import DepthL1Loss, NormalsL1Loss
from bmtas.models.losses.masks import BalancedBCELoss, WeightedBCELoss
from bmtas.models.losses.reduce import TaskLoss

__all__ = [
    'BalancedBCELoss',
    'CategoryLoss',
    'CrossEntropyLoss',
    'DepthL1Loss',
    'NormalsL1Loss',
    'TaskLoss',
    'WeightedBCELoss',
]
