"""Encoders as layers that can be copied."""

from bmtas.models.backbones.aspp import ASPP, RASPP
from bmtas.models.backbones.layered import (
    LayeredBackbone,
    build_backbone,
    last_norm_name,
    strip_last_affine,
)
from bmtas.models.backbones.vit import LayeredViT

__all__ = [
    'ASPP',
    'RASPP',
    'LayeredBackbone',
    'LayeredViT',
    'build_backbone',
    'last_norm_name',
    'strip_last_affine',
]
