"""Data sets, transforms and samplers."""

from . import transforms
from .base import MultiTaskDataset
from .celeba import CelebA
from .cub200 import CUB200
from .digits import Digits, IdxImages
from .files import read_image
from .folder import MultiTaskFolder
from .label_file import LabelFile
from .label_table import LabelColumn
from .numpy_folders import NumpyFolders
from .nyud import NYUD
from .nyud_video import NYUDVideo
from .pascal_context import PascalContext
from .samplers import PositionSampler
from .shapescenes import ShapeScenes

__all__ = [
    'CUB200',
    'NYUD',
    'CelebA',
    'Digits',
    'IdxImages',
    'LabelColumn',
    'NYUDVideo',
    'LabelFile',
    'MultiTaskDataset',
    'MultiTaskFolder',
    'NumpyFolders',
    'PascalContext',
    'PositionSampler',
    'ShapeScenes',
    'read_image',
    'transforms',
]
