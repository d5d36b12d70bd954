"""The decoder of MultiMAE's dense tasks: ConvNeXt blocks on unfolded tokens."""

from __future__ import annotations

from torch import Tensor, nn

from bmtas.registry import MODELS
from bmtas.typed import Count


class ConvNeXtBlock(nn.Module):
    """Depth-wise 7x7, LayerNorm, four times as wide, GELU, back; residual.

    Liu et al., "A ConvNet for the 2020s", CVPR 2022; without layer scale.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.expand = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.reduce = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.reduce(self.act(self.expand(y))).permute(0, 3, 1, 2)


@MODELS.register_module()
class ConvNeXtHead(nn.Module):
    """Widens each token, unfolds it into cells x cells pixels, refines them, predicts logits.

    Bachmann et al., "MultiMAE", ECCV 2022. Only the deep feature is read.

    Args:
        deep_channels: Channels of the deep feature.
        low_channels: Not used.
        out_channels: Channels of the logits.
        embed_dim: Width E of a token before it is unfolded; a multiple of cells^2.
        depth: Number of ConvNeXt blocks, of width E / cells^2.
        cells: Pixels per side into which a token is unfolded.

    Raises:
        ValueError: ``embed_dim`` is no multiple of cells^2.
    """

    def __init__(
        self,
        deep_channels: Count,
        low_channels: Count,
        out_channels: Count,
        embed_dim: Count,
        depth: Count = 2,
        cells: Count = 4,
    ) -> None:
        super().__init__()
        if embed_dim < 1 or embed_dim % cells**2:
            raise ValueError(
                f'ConvNeXtHead: embed_dim {embed_dim} must be a multiple of cells^2 = {cells**2}'
            )
        width = embed_dim // cells**2
        self.widen = nn.Conv2d(deep_channels, embed_dim, 1)
        self.unfold = nn.PixelShuffle(cells)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
        self.logits = nn.Conv2d(width, out_channels, 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        """(N, C_deep, h, w), any -> logits (N, out_channels, cells*h, cells*w)."""
        return self.logits(self.blocks(self.unfold(self.widen(deep))))
