"""A linear decoder for small images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.registry import MODELS
from bmtas.typed import Count


@MODELS.register_module()
class PixelShuffleHead(nn.Module):
    """Linear in both features; each of their positions predicts a cell of pixels at once.

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", CVPR 2016. Nothing is resized, which is most of a small
    network's time.

    Args:
        deep_channels: Channels of the deep feature.
        low_channels: Channels of the low-level feature.
        out_channels: Channels of the logits.
        deep_cells, low_cells: Pixels per side of the cells; their ratio is that of the strides.
    """

    def __init__(
        self,
        deep_channels: Count,
        low_channels: Count,
        out_channels: Count,
        deep_cells: Count = 4,
        low_cells: Count = 2,
    ) -> None:
        super().__init__()
        self.deep_cells, self.low_cells = deep_cells, low_cells
        self.low = nn.Conv2d(low_channels, low_cells**2 * out_channels, 1)
        self.deep = nn.Conv2d(deep_channels, deep_cells**2 * out_channels, 1, bias=False)

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        """(N, C_deep, h, w), (N, C_low, H, W) -> logits (N, out_channels, low_cells * H, ...).

        Raises:
            ValueError: The cells of the deep feature cover less than those of the other.
        """
        near = F.pixel_shuffle(self.low(low), self.low_cells)
        height, width = near.shape[-2:]
        far = F.pixel_shuffle(self.deep(deep), self.deep_cells)[..., :height, :width]
        if far.shape != near.shape:
            raise ValueError(
                f'PixelShuffleHead: deep_cells {self.deep_cells} and low_cells {self.low_cells} '
                f'give {tuple(far.shape[-2:])} and {(height, width)} pixels; set '
                "model.head.deep_cells and low_cells in the ratio of the features' strides"
            )
        return near + far
