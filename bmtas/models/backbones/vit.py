"""Vision transformers as layers that can be copied.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; the block is timm's and MAE's.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from bmtas.models.backbones.layered import LayeredBackbone
from bmtas.models.backbones.vit_weights import load_vit_weights
from bmtas.registry import MODELS
from bmtas.typed import Count, Fraction, Positive

NUM_STAGES = 4
EPS = 1e-6


class PatchEmbed(nn.Module):
    """Stem: patches to tokens, plus fixed positions.

    Args:
        dim: Width D.
        patch: Pixels per side of a patch.

    Raises:
        ValueError: An image whose sides are no multiples of the patch.
    """

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)
        # as a linear layer of the flattened patch
        nn.init.xavier_uniform_(self.proj.weight.view(dim, -1))
        nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, D, H/patch, W/patch)."""
        height, width = x.shape[-2:]
        if height % self.patch or width % self.patch:
            up = tuple(-(-side // self.patch) * self.patch for side in (height, width))
            raise ValueError(
                f'LayeredViT: images of {height}x{width} are no multiple of the patch '
                f"{self.patch}; add dict(type='PadTo', size={up}) to the pipeline"
            )
        x = self.proj(x)
        return x + sincos_positions(x.shape[1], *x.shape[-2:]).to(x)


def sincos_positions(dim: int, height: int, width: int) -> Tensor:
    """Fixed positions of a grid, (1, dim, height, width).

    Sine and cosine of the column in the first half of the channels, of the row in the second, at
    wavelengths 2 pi to 20000 pi, as in MAE (He et al., CVPR 2022).
    """
    omega = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))

    def axis(length: int) -> Tensor:
        angles = omega[:, None] * torch.arange(length, dtype=torch.float64)
        return torch.cat([angles.sin(), angles.cos()])

    columns = axis(width)[:, None, :].expand(-1, height, -1)
    rows = axis(height)[:, :, None].expand(-1, -1, width)
    return torch.cat([columns, rows])[None].float()


class Attention(nn.Module):
    """Multi-head self-attention over tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        # q, k and v are three matrices of D x D
        nn.init.uniform_(self.qkv.weight, -((3 / dim) ** 0.5), (3 / dim) ** 0.5)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, n, D) -> (N, n, D)."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(batch, tokens, dim))


class ViTBlock(nn.Module):
    """Pre-norm transformer block on maps.

    Args:
        dim: Width D.
        heads: Attention heads.
        mlp_ratio: Hidden width of the MLP divided by D.
        drop_path: Probability of dropping a residual branch, per image.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        hidden = int(dim * mlp_ratio)
        parts = (('fc1', nn.Linear(dim, hidden)), ('act', nn.GELU()))
        self.mlp = nn.Sequential(OrderedDict([*parts, ('fc2', nn.Linear(hidden, dim))]))
        self.drop_path = StochasticDepth(drop_path, 'row')
        for linear in (self.mlp.fc1, self.mlp.fc2):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, D, h, w)."""
        height, width = x.shape[-2:]
        # a view where the map is channels-last; elsewhere every sum and norm would copy
        tokens = x.flatten(2).transpose(1, 2).contiguous()
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens)))
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens.transpose(1, 2).unflatten(2, (height, width))


@MODELS.register_module()
class LayeredViT(LayeredBackbone):
    """A template from which encoders copy a ViT's patch embedding and blocks.

    Layers exchange maps (N, D, h, w), L = depth + 1: the last
    layer is a weightless ``map``, so the deep and the low-level feature are both the output of the
    last block. There is no class or global token and no final norm. Stages, for encoders that
    need some, are quarters of the depth. Blocks have no batch norm, so that a candidate of the
    supergraph is a plain copy.

    Args:
        dim: Width D, divisible by ``heads`` and by 4.
        depth: Number of blocks.
        heads: Attention heads.
        patch: Pixels per side of a patch.
        mlp_ratio: Hidden width of the MLP divided by D.
        drop_path: Probability of dropping a residual branch in the last block; it grows linearly
            from 0 in the first.
        weights: File of a state dict of MAE, timm, torchvision or MultiViT, see
            ``vit_weights.load_vit_weights``; None for random weights.

    Attributes: as in ``LayeredBackbone``.

    Raises:
        ValueError: Sizes that do not fit each other, or weights of another network.
        FileNotFoundError: Weights that are not there.
    """

    def __init__(
        self,
        dim: Count = 768,
        depth: Count = 12,
        heads: Count = 12,
        patch: Count = 16,
        mlp_ratio: Positive = 4.0,
        drop_path: Fraction = 0.0,
        weights: str | None = None,
    ) -> None:
        if dim % heads or dim % 4:
            raise ValueError(f'LayeredViT: dim {dim} must be divisible by heads {heads} and by 4')
        if depth < 1 or patch < 1 or not 0 <= drop_path < 1:
            raise ValueError(
                f'LayeredViT: depth and patch must be positive and drop_path in [0, 1), got '
                f'{depth}, {patch}, {drop_path}'
            )
        self.arch, self.output_stride = f'vit{depth}x{dim}', patch
        rates = [drop_path * index / max(depth - 1, 1) for index in range(depth)]
        self._stem = PatchEmbed(dim, patch)
        blocks = [ViTBlock(dim, heads, mlp_ratio, rate) for rate in rates]
        self._layers = [*blocks, nn.Identity()]
        if weights is not None:
            load_vit_weights(self._stem, blocks, weights)
        self.num_layers = depth + 1
        self.layer_names = [*(f'blocks.{index}' for index in range(depth)), 'map']
        self.stem_channels = dim
        self.out_channels = [dim] * self.num_layers
        self.strides = [patch] * self.num_layers
        self.branch_strides = [0] * self.num_layers
        stages = min(NUM_STAGES, depth)
        self.stage_ends = [depth * (stage + 1) // stages - 1 for stage in range(stages)]
        self.low_level_index = depth - 1
