"""Losses: logits and label maps in, a scalar out; 0 with a graph where nothing is labelled."""

from bmtas.models.losses.classes import CrossEntropyLoss, check_class_ids
from bmtas.models.losses.dense import DepthL1Loss, NormalsL1Loss, unit_vectors
from bmtas.models.losses.masks import BalancedBCELoss, WeightedBCELoss

__all__ = [
    'BalancedBCELoss',
    'CrossEntropyLoss',
    'DepthL1Loss',
    'NormalsL1Loss',
    'WeightedBCELoss',
    'check_class_ids',
    'unit_vectors',
]
