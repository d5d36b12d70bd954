"""Transforms: callables ``(results, rng) -> results`` on the arrays of one sample.

Each is pure: it draws only from ``rng`` and leaves the dict and the arrays it was given untouched.
"""

from .ignore_absent_foreground import IgnoreAbsentForeground
from .pack import PackSample
from .pad_to import PadTo
from .photometric_distortion import PhotoMetricDistortion
from .random_affine import RandomAffine
from .random_crop import RandomCrop
from .random_horizontal_flip import RandomHorizontalFlip
from .random_scale import RandomScale
from .resize import Resize

__all__ = [
    'IgnoreAbsentForeground',
    'PackSample',
    'PadTo',
    'PhotoMetricDistortion',
    'RandomAffine',
    'RandomCrop',
    'RandomHorizontalFlip',
    'RandomScale',
    'Resize',
]
