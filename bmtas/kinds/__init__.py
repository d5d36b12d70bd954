"""What a label can be; one file for each kind."""

from .base import Draw, Kind, build_kind, check_suits, kind_names, to_array
from .category import Category, pooled
from .classes import Classes
from .colours import NO_LABEL, class_colours, ramp
from .depth import Depth
from .image import ImageKind
from .maps import MapKind, crop_padding, pad_array, warp
from .mask import Mask
from .normals import Normals, unit_vectors

__all__ = [
    'NO_LABEL',
    'Category',
    'Classes',
    'Depth',
    'Draw',
    'ImageKind',
    'Kind',
    'MapKind',
    'Mask',
    'Normals',
    'build_kind',
    'check_suits',
    'class_colours',
    'crop_padding',
    'kind_names',
    'pad_array',
    'pooled',
    'ramp',
    'to_array',
    'unit_vectors',
    'warp',
]
