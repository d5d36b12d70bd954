"""Output stride by dilation, as torchvision's ``replace_stride_with_dilation`` does for ResNets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

PROBE_SIZE = 64


@torch.no_grad()
def probe(module: nn.Module, x: Tensor) -> Tensor:
    """Run a module in evaluation mode, to learn the shape of its output."""
    module.eval()
    y = module(x)
    module.train()
    return y


def dilate(
    arch: str, stem: nn.Module, layers: Sequence[nn.Module], output_stride: int
) -> tuple[list[int], list[int]]:
    """Keep the total stride at ``output_stride`` by replacing later strides with dilation.

    The layer that loses its stride keeps the dilation of the layers before it; those that follow
    get twice as much. Modules are changed in place.

    Returns:
        Total stride and channels: after the stem, then after every layer.

    Raises:
        ValueError: The stride cannot be reached, e.g. below the stem's, or because a layer reduces
            its input by other means than a convolution or a pool; the message says what can.
    """
    device = next(stem.parameters()).device
    x = probe(stem, torch.zeros(1, 3, PROBE_SIZE, PROBE_SIZE, device=device))
    strides, channels, dilation = [PROBE_SIZE // x.shape[-1]], [x.shape[1]], 1
    for index, layer in enumerate(layers):
        y = probe(layer, x)
        step = x.shape[-1] // y.shape[-1]
        kept = min(step, max(1, output_stride // strides[-1]))
        if kept != step or dilation > 1:
            _replace_stride(layer, keep=kept == step, dilation=dilation)
            y = probe(layer, x)
        x, dilation = y, dilation * step // kept
        strides.append(strides[-1] * kept)
        channels.append(x.shape[1])
        if x.shape[-1] * strides[-1] != PROBE_SIZE:
            natural = strides[-2] * step * _stride_of(layers[index + 1 :], y)
            raise ValueError(
                f'backbone: {arch}: layer {index} cannot be dilated to output_stride '
                f'{output_stride}; set output_stride={natural}'
            )
    if strides[-1] != output_stride:
        raise ValueError(
            f'backbone: {arch}: output_stride {output_stride} cannot be reached, the layers end at '
            f'{strides[-1]}; set output_stride={strides[-1]}'
        )
    return strides, channels


def _stride_of(layers: Sequence[nn.Module], x: Tensor) -> int:
    """Input pixels per pixel after some layers."""
    size = x.shape[-1]
    for layer in layers:
        x = probe(layer, x)
    return size // x.shape[-1]


def _replace_stride(layer: nn.Module, keep: bool, dilation: int) -> None:
    """Set dilation on every convolution larger than 1x1; without ``keep``, take strides away."""
    for parent in list(layer.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                _dilate_conv(child, keep, dilation)
            elif isinstance(child, nn.MaxPool2d) and not keep:
                # a 2x2 pool would shift by half a pixel once its stride is gone
                setattr(parent, name, nn.MaxPool2d(3, stride=1, padding=1))
            elif isinstance(child, nn.AvgPool2d) and not keep:
                pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
                setattr(parent, name, pool)


def _dilate_conv(conv: nn.Conv2d, keep: bool, dilation: int) -> None:
    if not keep:
        conv.stride = (1, 1)
    if max(conv.kernel_size) > 1:
        conv.dilation = (dilation, dilation)
        conv.padding = tuple(dilation * (size - 1) // 2 for size in conv.kernel_size)
