"""Encoders as layers that can be copied."""

from bmtas.models.backbones.aspp import ASPP, RASPP
from bmtas.models.backbones.layered import (
    LayeredBackbone,
    build_backbone,
    last_norm_name,
    strip_last_affine,
)

__all__ = [
    'ASPP',
    'RASPP',
    'LayeredBackbone',
    'build_backbone',
    'last_norm_name',
    'strip_last_affine',
]
