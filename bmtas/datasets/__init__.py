"""Data sets, transforms and samplers."""

from . import transforms
from .base import MultiTaskDataset
from .folder import MultiTaskFolder
from .label_file import LabelFile
from .samplers import PositionSampler
from .shapescenes import ShapeScenes

__all__ = [
    'LabelFile',
    'MultiTaskDataset',
    'MultiTaskFolder',
    'PositionSampler',
    'ShapeScenes',
    'transforms',
]
