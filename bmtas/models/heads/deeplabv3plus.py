"""The decoder of DeepLabv3+."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.models.blocks import conv_norm_act, separable_conv
from bmtas.registry import MODELS
from bmtas.typed import Count


@MODELS.register_module()
class DeepLabV3PlusHead(nn.Module):
    """Fuses the deep with the low-level feature and predicts logits at the latter's size.

    Chen et al., "Encoder-Decoder with Atrous Separable Convolution", ECCV 2018.

    Args:
        deep_channels: Channels of the deep feature.
        low_channels: Channels of the low-level feature.
        out_channels: Channels of the logits.
        low_proj: Width of the 1x1 projection of the low-level feature.
        width: Width of the two 3x3 convolutions.
        separable: Depth-wise separable instead of plain 3x3 convolutions.
        activation: ``relu6`` or ``relu``.
    """

    def __init__(
        self,
        deep_channels: Count,
        low_channels: Count,
        out_channels: Count,
        low_proj: Count = 48,
        width: Count = 128,
        separable: bool = True,
        activation: str = 'relu6',
    ) -> None:
        super().__init__()
        conv = separable_conv if separable else conv_norm_act
        self.low_proj = conv_norm_act(low_channels, low_proj, 1, activation=activation)
        self.fuse = nn.Sequential(
            conv(low_proj + deep_channels, width, 3, activation=activation),
            conv(width, width, 3, activation=activation),
        )
        self.logits = nn.Conv2d(width, out_channels, 1)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        """(N, C_deep, h, w), (N, C_low, H, W) -> logits (N, out_channels, H, W)."""
        low = self.low_proj(low)
        deep = F.interpolate(deep, size=low.shape[-2:], mode='bilinear', align_corners=False)
        return self.logits(self.fuse(torch.cat([low, deep], dim=1)))
