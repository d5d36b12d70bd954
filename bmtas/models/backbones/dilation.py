"""Output stride by dilation, as torchvision's ``replace_stride_with_dilation`` does for ResNets."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

PROBE_SIZE = 256


def probe(module: nn.Module, x: Tensor) -> Tensor:
    """Run a module's shapes only: input and output lie on the meta device."""
    with torch.no_grad():
        return copy.deepcopy(module).to('meta').eval()(x)


def dilate(stem: nn.Module, layers: Sequence[nn.Module], output_stride: int) -> list[int]:
    """Keep the total stride at ``output_stride`` by replacing later strides with dilation.

    The layer that loses its stride keeps the dilation of the layers before it; those that follow
    get twice as much. Modules are changed in place.

    Returns:
        The total stride after every layer.

    Raises:
        ValueError: The stride cannot be reached, e.g. below the stem's.
    """
    x = probe(stem, torch.empty(1, 3, PROBE_SIZE, PROBE_SIZE, device='meta'))
    stride, dilation, strides = PROBE_SIZE // x.shape[-1], 1, []
    for index, layer in enumerate(layers):
        step = x.shape[-1] // probe(layer, x).shape[-1]
        kept = min(step, max(1, output_stride // stride))
        if kept != step or dilation > 1:
            _replace_stride(layer, keep=kept == step, dilation=dilation)
        x = probe(layer, x)
        stride, dilation = stride * kept, dilation * step // kept
        if x.shape[-1] * stride != PROBE_SIZE:
            raise ValueError(f'backbone: layer {index} cannot be dilated to stride {output_stride}')
        strides.append(stride)
    if stride != output_stride:
        raise ValueError(
            f'backbone: output_stride {output_stride} cannot be reached, the layers end at {stride}'
        )
    return strides


def _replace_stride(layer: nn.Module, keep: bool, dilation: int) -> None:
    """Set dilation on every convolution larger than 1x1; without ``keep``, take strides away."""
    for parent in list(layer.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                _dilate_conv(child, keep, dilation)
            elif isinstance(child, nn.MaxPool2d) and not keep:
                # a 2x2 pool would shift by half a pixel once its stride is gone
                setattr(parent, name, nn.MaxPool2d(3, stride=1, padding=1))


def _dilate_conv(conv: nn.Conv2d, keep: bool, dilation: int) -> None:
    if not keep:
        conv.stride = (1, 1)
    if max(conv.kernel_size) > 1:
        conv.dilation = (dilation, dilation)
        conv.padding = tuple(dilation * (size - 1) // 2 for size in conv.kernel_size)
