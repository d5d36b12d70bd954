"""Small building blocks of context modules and heads, with their initialisation."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn
from torchvision.ops import Conv2dNormActivation

_ACTIVATIONS = {'relu': nn.ReLU, 'relu6': nn.ReLU6}


def activation_layer(name: str) -> nn.Module:
    """Return a new activation, ``relu`` or ``relu6``, working in place."""
    if name not in _ACTIVATIONS:
        raise ValueError(f'activation: unknown {name!r}, choose from {sorted(_ACTIVATIONS)}')
    return _ACTIVATIONS[name](inplace=True)


def conv_norm_act(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    activation: str = 'relu',
) -> nn.Sequential:
    """Convolution without bias, padded so that stride 1 keeps the size, batch norm, activation."""
    block = Conv2dNormActivation(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        groups=groups,
        dilation=dilation,
        activation_layer=lambda inplace: activation_layer(activation),
    )
    nn.init.kaiming_normal_(block[0].weight, mode='fan_out')
    return nn.Sequential(OrderedDict(zip(('conv', 'norm', 'act'), block)))


def separable_conv(
    in_channels: int, out_channels: int, kernel_size: int, activation: str
) -> nn.Sequential:
    """Depth-wise convolution and a 1x1 convolution, each with norm and activation."""
    depthwise = conv_norm_act(
        in_channels, in_channels, kernel_size, groups=in_channels, activation=activation
    )
    pointwise = conv_norm_act(in_channels, out_channels, 1, activation=activation)
    return nn.Sequential(OrderedDict([('depthwise', depthwise), ('pointwise', pointwise)]))
