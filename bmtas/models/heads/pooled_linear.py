"""The head of image-level tasks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.registry import MODELS
from bmtas.typed import Count, Fraction


@MODELS.register_module()
class PooledLinearHead(nn.Module):
    """Averages the deep feature into a few cells and predicts logits of the image linearly.

    With ``pool_size=7`` the branch of task routing (Strezoski et al., ICCV 2019).

    Args:
        deep_channels: Channels of the deep feature.
        low_channels: Not used: the low-level feature tells where, not what.
        out_channels: Number of logits.
        pool_size: The feature is averaged into pool_size x pool_size cells.
        dropout: Probability that a pooled value is dropped in training.

    Raises:
        ValueError: A value out of range.
    """

    def __init__(
        self,
        deep_channels: Count,
        low_channels: Count,
        out_channels: Count,
        pool_size: Count = 1,
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        if pool_size < 1:
            raise ValueError(f'PooledLinearHead: pool_size must be positive, got {pool_size}')
        if not 0 <= dropout < 1:
            raise ValueError(f'PooledLinearHead: dropout must be in [0, 1), got {dropout}')
        self.pool_size = pool_size
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(deep_channels * pool_size**2, out_channels)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        """(N, C_deep, h, w) -> logits of the image (N, out_channels)."""
        cells = F.adaptive_avg_pool2d(deep, self.pool_size).flatten(1)
        return self.logits(self.dropout(cells))
