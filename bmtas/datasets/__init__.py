"""Data sets, transforms and samplers."""

from . import transforms
from .base import MultiTaskDataset
from .files import read_image
from .folder import MultiTaskFolder
from .label_file import LabelFile
from .nyud import NYUD
from .pascal_context import PascalContext
from .samplers import PositionSampler
from .shapescenes import ShapeScenes

__all__ = [
    'NYUD',
    'LabelFile',
    'MultiTaskDataset',
    'MultiTaskFolder',
    'PascalContext',
    'PositionSampler',
    'ShapeScenes',
    'read_image',
    'transforms',
]
