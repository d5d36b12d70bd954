"""A plain convolutional network that trains in seconds on small images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from bmtas.models.blocks import conv_norm_act


class Conv4(nn.Module):
    """Four blocks behind a stem, each a 3x3 convolution with batch norm and ReLU.

    The form of the Conv-4 of few-shot learning (Vinyals et al., NeurIPS 2016), with strides in
    place of its pooling; the network of the ShapeScenes table in the benchmark of trees.

    Args:
        widths: Channels of each block; the stem has those of the first.
        strides: Of each block; that of the stem is 2.
    """

    def __init__(
        self, widths: Sequence[int] = (16, 24, 32, 48), strides: Sequence[int] = (1, 2, 1, 1)
    ) -> None:
        super().__init__()
        self.stem = conv_norm_act(3, widths[0], 3, stride=2)
        inputs = (widths[0], *widths)
        for index, (width, stride) in enumerate(zip(widths, strides)):
            self.add_module(f'block{index + 1}', conv_norm_act(inputs[index], width, 3, stride))
