"""Backbones, encoders, heads, losses, the multi-task model and its preprocessor."""

from bmtas.models import backbones, encoders, heads, losses
from bmtas.models.buffers import kept_buffers
from bmtas.models.data_preprocessor import MultiTaskPreprocessor
from bmtas.models.multi_task_model import MultiTaskModel, stack_labels
from bmtas.models.test_time import TestTime

__all__ = [
    'MultiTaskModel',
    'MultiTaskPreprocessor',
    'TestTime',
    'backbones',
    'encoders',
    'heads',
    'kept_buffers',
    'losses',
    'stack_labels',
]
