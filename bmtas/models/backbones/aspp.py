"""The context module at the end of an encoder, full (ASPP) and reduced (R-ASPP).

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017, and
Sandler et al., "MobileNetV2", CVPR 2018, section 6.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.models.blocks import activation_layer, conv_norm_act
from bmtas.registry import MODELS
from bmtas.typed import Count, Fraction


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch norm behind a global pool.

    A batch of one image has a single value per channel and no variance: the running statistics
    are used for it, instead of the error of ``nn.BatchNorm2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, 1, 1)."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


class ImagePool(nn.Module):
    """Global average pool, 1x1 convolution, norm, activation, resized back to the input's size."""

    def __init__(self, in_channels: int, channels: int, activation: str) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm = PooledBatchNorm2d(channels)
        self.act = activation_layer(activation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels, H, W)."""
        pooled = self.act(self.norm(self.conv(self.pool(x))))
        # from one pixel, bilinear interpolation is a copy
        return pooled.expand(-1, -1, *x.shape[-2:])


class _ContextModule(nn.Module):
    """Parallel branches, concatenated, projected by a 1x1 convolution."""

    def __init__(
        self, branches: Sequence[nn.Module], channels: int, dropout: float, activation: str
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.dropout = nn.Dropout(dropout)
        self.project = conv_norm_act(len(branches) * channels, channels, 1, activation=activation)
        self.out_channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, channels, H, W)."""
        x = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.project(self.dropout(x))


@MODELS.register_module()
class RASPP(_ContextModule):
    """Reduced ASPP: a 1x1 convolution beside the image pool.

    Args:
        in_channels: Channels of the last block.
        channels: Width of both branches and of the output.
        dropout: Probability in front of the projection.
        activation: ``relu6`` or ``relu``.
    """

    def __init__(
        self,
        in_channels: Count,
        channels: Count = 128,
        dropout: Fraction = 0.1,
        activation: str = 'relu6',
    ) -> None:
        branches = [
            conv_norm_act(in_channels, channels, 1, activation=activation),
            ImagePool(in_channels, channels, activation),
        ]
        super().__init__(branches, channels, dropout, activation)


@MODELS.register_module()
class ASPP(_ContextModule):
    """Atrous spatial pyramid pooling: 1x1, dilated 3x3 convolutions, image pool.

    Args:
        in_channels: Channels of the last block.
        channels: Width of every branch and of the output.
        rates: Dilation of each 3x3 branch; 6, 12, 18 belong to output stride 16.
        dropout: Probability in front of the projection.
        activation: ``relu`` or ``relu6``.
    """

    def __init__(
        self,
        in_channels: Count,
        channels: Count = 256,
        rates: Sequence[int] = (6, 12, 18),
        dropout: Fraction = 0.1,
        activation: str = 'relu',
    ) -> None:
        atrous = [
            conv_norm_act(in_channels, channels, 3, dilation=rate, activation=activation)
            for rate in rates
        ]
        branches = [
            conv_norm_act(in_channels, channels, 1, activation=activation),
            *atrous,
            ImagePool(in_channels, channels, activation),
        ]
        super().__init__(branches, channels, dropout, activation)
