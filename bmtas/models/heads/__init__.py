"""Decoders: features of one task in, logits out."""

from bmtas.models.heads.convnext import ConvNeXtHead
from bmtas.models.heads.deeplabv3plus import DeepLabV3PlusHead
from bmtas.models.heads.pixel_shuffle import PixelShuffleHead
from bmtas.models.heads.pooled_linear import PooledLinearHead

__all__ = ['ConvNeXtHead', 'DeepLabV3PlusHead', 'PixelShuffleHead', 'PooledLinearHead']
