"""The multi-resolution network that a code describes, and its two heads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock
from torchvision.ops import Conv2dNormActivation

from bmtas.registry import MODELS

from .codes import NetworkCode
from .cost import stem_strides

conv1x1 = partial(Conv2dNormActivation, kernel_size=1)
conv3x3 = partial(Conv2dNormActivation, kernel_size=3)


def _resize(feature: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners not aligned; (N, C, H, W) to (N, C, *size)."""
    if feature.shape[-2:] == tuple(size):
        return feature
    return F.interpolate(feature, size=tuple(size), mode='bilinear', align_corners=False)


class _Fuse(nn.Module):
    """Exchange between neighbouring branches; opens the next branch where asked.

    Output i is the rectified sum of what branches i-1 (3x3, stride 2), i (3x3, also at equal
    width: there is no identity path) and i+1 (1x1, upsampled) send, each with batch norm and
    ReLU. A new branch is a 3x3 stride-2 convolution of the last *fused* branch.

    Args:
        c_in: Channels of the branches that enter.
        c_out: Channels of those that leave, as many or one more.
    """

    def __init__(self, c_in: Sequence[int], c_out: Sequence[int]) -> None:
        super().__init__()
        old = len(c_in)
        self.down = nn.ModuleList(conv3x3(c_in[i - 1], c_out[i], stride=2) for i in range(1, old))
        self.keep = nn.ModuleList(conv3x3(c_in[i], c_out[i]) for i in range(old))
        self.up = nn.ModuleList(conv1x1(c_in[i + 1], c_out[i]) for i in range(old - 1))
        self.grow = conv3x3(c_out[old - 1], c_out[old], stride=2) if len(c_out) > old else None

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        """(N, c_in[i], H_i, W_i) for each branch to (N, c_out[i], H_i, W_i)."""
        fused = []
        for i, branch in enumerate(branches):
            total = self.keep[i](branch)
            if i:
                below = self.down[i - 1](branches[i - 1])
                total = below + _resize(total, below.shape[-2:])
            if i + 1 < len(branches):
                above = F.interpolate(self.up[i](branches[i + 1]), scale_factor=2, mode='nearest')
                total = total + _resize(above, total.shape[-2:])
            fused.append(F.relu(total))
        if self.grow is not None:
            fused.append(self.grow(fused[-1]))
        return fused


class _Parallel(nn.Module):
    """Residual units of each branch at constant width."""

    def __init__(self, units: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(c, c) for _ in range(n))) for n, c in zip(units, channels)
        )

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        return [units(branch) for units, branch in zip(self.branches, branches)]


def initialise(module: nn.Module) -> None:
    """Kaiming-normal convolutions (fan out), batch norms 1 and 0, biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode='fan_out', nonlinearity='relu')
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


@MODELS.register_module()
class MultiResolutionNetwork(BaseModule):
    """Backbone of four branches at strides 4, 8, 16, 32 whose shape is a network code.

    Args:
        code: Anything that ``NetworkCode.parse`` reads: 27 numbers, the text form, or the
            ``ncp.json`` of a propagation.
        input_stride: Stride of the first branch: 4, or 2 or 1 with fewer strides in the stem.

    Attributes:
        code: The code.
        out_channels: Channels of the four branches.
    """

    def __init__(self, code: Any, input_stride: int = 4, init_cfg: Any = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.code = NetworkCode.parse(code)
        first, second = self.code.stem
        strides = stem_strides(input_stride)
        self.input_stride = input_stride
        self.stem = nn.Sequential(
            conv3x3(3, first, stride=strides[0]), conv3x3(first, second, stride=strides[1])
        )
        self.body = nn.ModuleList()
        before: Sequence[int] = (second,)
        for units, channels in self.code.layers:
            self.body.append(nn.Sequential(_Fuse(before, channels), _Parallel(units, channels)))
            before = channels
        self.out_channels = tuple(before)
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the four branches, (N, c_i, ceil(H / stride_i), ...)."""
        branches = [self.stem(images)]
        for layer in self.body:
            branches = layer(branches)
        return tuple(branches)


class FusedHead(BaseModule):
    """Branches resized to one resolution, concatenated, fused by a 1x1 layer.

    Args:
        in_channels: Channels of the branches.
        width: Channels of the fusing layer, the last number of the code.
        level: Branch whose resolution is taken.
    """

    def __init__(self, in_channels: Sequence[int], width: int, level: int) -> None:
        super().__init__()
        self.level = level
        self.fuse = conv1x1(sum(in_channels), width)
        initialise(self)

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """(N, c_i, H_i, W_i) to (N, width, H_level, W_level)."""
        size = branches[self.level].shape[-2:]
        return self.fuse(torch.cat([_resize(branch, size) for branch in branches], dim=1))


@MODELS.register_module()
class MultiResolutionSegmentationHead(FusedHead):
    """Classifier of every position of the first branch (stride 4).

    Args:
        in_channels: Channels of the branches.
        width: Channels of the fusing layer.
        classes: Channels of the output.
    """

    def __init__(self, in_channels: Sequence[int], width: int, classes: int = 19) -> None:
        super().__init__(in_channels, width, level=0)
        self.classify = nn.Conv2d(width, classes, 1)
        initialise(self.classify)

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """Branches to logits (N, classes, H/4, W/4)."""
        return self.classify(super().forward(branches))


@MODELS.register_module()
class MultiResolutionClassificationHead(FusedHead):
    """Classifier of the image: fused at the last branch (stride 32), averaged, classified.

    Args:
        in_channels: Channels of the branches.
        width: Channels of the fusing layer.
        classes: Channels of the output.
    """

    def __init__(self, in_channels: Sequence[int], width: int, classes: int = 50) -> None:
        super().__init__(in_channels, width, level=-1)
        self.classify = nn.Conv2d(width, classes, 1)
        initialise(self.classify)

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        """Branches to logits (N, classes, 1, 1)."""
        return self.classify(F.adaptive_avg_pool2d(super().forward(branches), 1))


def build_network(
    code: Any, head: str = 'segmentation', classes: int = 19, input_stride: int = 4
) -> nn.Sequential:
    """The network of a code with its head, as the cost formulas count it.

    Args:
        code: Anything that ``NetworkCode.parse`` reads.
        head: ``segmentation`` or ``classification``.
        classes: Outputs of the classifier.
        input_stride: Stride of the first branch.

    Raises:
        ValueError: Unknown head.
    """
    kinds = {
        'segmentation': MultiResolutionSegmentationHead,
        'classification': MultiResolutionClassificationHead,
    }
    if head not in kinds:
        raise ValueError(f'head {head!r}, choose from {[*kinds]}')
    backbone = MultiResolutionNetwork(code, input_stride)
    return nn.Sequential(backbone, kinds[head](backbone.out_channels, backbone.code.last, classes))
