"""Data sets, transforms and samplers."""

from . import transforms
from .archives import count_files, fetch, file_sha256, unpack
from .base import MultiTaskDataset
from .celeba import CelebA
from .check import DataSummary, check_disjoint, check_size, check_whole, iterate_reports
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
from .preflight import check_datasets, dataset_configs
from .samplers import PositionSampler
from .shapescenes import ShapeScenes
from .sources import SOURCES

__all__ = [
    'CUB200',
    'NYUD',
    'SOURCES',
    'CelebA',
    'DataSummary',
    'Digits',
    'IdxImages',
    'LabelColumn',
    'LabelFile',
    'MultiTaskDataset',
    'MultiTaskFolder',
    'NYUDVideo',
    'NumpyFolders',
    'PascalContext',
    'PositionSampler',
    'ShapeScenes',
    'check_datasets',
    'check_disjoint',
    'check_size',
    'check_whole',
    'count_files',
    'dataset_configs',
    'fetch',
    'file_sha256',
    'iterate_reports',
    'read_image',
    'transforms',
    'unpack',
]
