"""Backbones, encoders, heads, losses, the multi-task model and its preprocessor."""

from bmtas.models import backbones, encoders, heads, losses
from bmtas.models.data_preprocessor import MultiTaskPreprocessor
from bmtas.models.multi_task_model import MultiTaskModel

__all__ = [
    'MultiTaskModel',
    'MultiTaskPreprocessor',
    'backbones',
    'encoders',
    'heads',
    'losses',
]
