"""Encoders as layers that can be copied."""

from bmtas.models.backbones.architectures import register_architecture
from bmtas.models.backbones.aspp import ASPP, RASPP, PooledBatchNorm2d
from bmtas.models.backbones.candidates import keeps_scale, last_norm_name
from bmtas.models.backbones.layered import LayeredBackbone, build_backbone
from bmtas.models.backbones.vit import LayeredViT
from bmtas.models.backbones.weights import load_file

__all__ = [
    'ASPP',
    'RASPP',
    'LayeredBackbone',
    'LayeredViT',
    'PooledBatchNorm2d',
    'build_backbone',
    'keeps_scale',
    'last_norm_name',
    'load_file',
    'register_architecture',
]
