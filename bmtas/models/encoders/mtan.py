"""Multi-task attention network (Liu, Johns, Davison, CVPR 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.blocks import activation_layer
from bmtas.models.encoders.base import STEM, Encoder, Features, Part, Work
from bmtas.registry import MODELS

VARIANTS = ('full', 'bottleneck')


@MODELS.register_module()
class MTANEncoder(Encoder):
    """One backbone for all tasks; each task picks from its features by attention.

    In stage j, with u the input of the stage's last layer and p the stage's output, task t has

        mask_t = sigmoid(BN(conv1x1(act(BN(conv1x1(z))))),  z = u, or u and the carry before it,
        attended_t = mask_t * p,   carry_t = f_j(attended_t).

    The convolutions f_j are shared by the tasks and lead to the width of the next stage's u, by
    2x2 max-pooling to its size. The last carry goes through the task's own context module, the
    attended feature of the low-level stage to its head.

    Args:
        backbone: Template or its config.
        tasks: Task names.
        variant: ``full``: masks of full width, f_j a 3x3 convolution, kept after the last stage.
            ``bottleneck``: the later layout for ResNets: masks of a quarter of the width, f_j a
            residual bottleneck, none after the last stage.
        separable: In ``full``, f_j is depth-wise 3x3 and 1x1, as for MobileNetV2.
        activation: ``relu`` or ``relu6``.

    Raises:
        ValueError: Unknown variant, or the low-level feature is not the end of a stage.
    """

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        variant: str = 'full',
        separable: bool = False,
        activation: str = 'relu',
    ) -> None:
        backbone = build_backbone(backbone)
        super().__init__(tasks, **backbone.features)
        self.low_level_index = backbone.low_level_index
        if variant not in VARIANTS:
            raise ValueError(f'MTANEncoder: unknown variant {variant!r}, choose from {VARIANTS}')
        self._ends = list(backbone.stage_ends)
        if self.low_level_index not in self._ends:
            raise ValueError(
                f'MTANEncoder: the low-level feature must be the end of a stage, layer '
                f'{self.low_level_index} is not among {self._ends}'
            )
        self.stem = backbone.copy_stem()
        last = backbone.num_layers - 1
        self.layers = nn.ModuleList(backbone.copy_layer(index) for index in range(last))
        # the context module once for each task
        self.layers.append(nn.ModuleDict({task: backbone.copy_layer(last) for task in self.tasks}))
        # u_j has as many channels as the layer before the stage's last one puts out
        before = [backbone.stem_channels, *backbone.out_channels]
        u = [before[end] for end in self._ends]
        p = [backbone.out_channels[end] for end in self._ends]
        reduction = 1 if variant == 'full' else 4
        self.attention = nn.ModuleList(
            nn.ModuleDict(
                {
                    task: _mask(u[j] * (1 if j == 0 else 2), p[j], reduction, activation)
                    for task in self.tasks
                }
            )
            for j in range(len(p))
        )
        if variant == 'full':
            widths = zip(p, [*u[1:], p[-1]])
            self.carries = nn.ModuleList(_carry(a, b, separable, activation) for a, b in widths)
        else:
            self.carries = nn.ModuleList(_residual(a, b) for a, b in zip(p, u[1:]))

    def forward(self, images: Tensor, tasks: Sequence[str]) -> Features:
        """Encode images (N, 3, H, W); the backbone runs once."""
        self.task_indices(tasks)
        x, carry, low = self.stem(images), {}, {}
        stage = 0
        for index, layer in enumerate(self.layers[:-1]):
            u, x = x, layer(x)
            if index != self._ends[stage]:
                continue
            attended = {task: self._attend(stage, task, u, carry.get(task), x) for task in tasks}
            if index == self.low_level_index:
                low = attended
            carry = attended
            if stage < len(self.carries):
                carry = {task: self.carries[stage](value) for task, value in attended.items()}
            stage += 1
        return {task: (self.layers[-1][task](carry[task]), low[task]) for task in tasks}

    def _attend(self, stage: int, task: str, u: Tensor, carry: Tensor | None, p: Tensor) -> Tensor:
        """Mask the stage's output for one task."""
        z = u if carry is None else torch.cat([u, _pool_to(carry, u)], dim=1)
        return self.attention[stage][task](_pool_to(z, p)) * p

    def work(self, tasks: Sequence[str]) -> Work:
        """The same for the same tasks."""
        return ()

    def parts(self) -> list[Part]:
        """All share the backbone and the carries; each has its attention and context module."""
        last = self.num_layers - 1
        return [
            self.part('stem', STEM, self.tasks),
            *(self.part(f'layers.{index}', index, self.tasks) for index in range(last)),
            *(self.part(f'layers.{last}.{task}', last, [task]) for task in self.tasks),
            *(
                self.part(f'attention.{stage}.{task}', None, [task])
                for stage in range(len(self.attention))
                for task in self.tasks
            ),
            *(
                self.part(f'carries.{index}', None, self.tasks)
                for index in range(len(self.carries))
            ),
        ]


def _pool_to(x: Tensor, like: Tensor) -> Tensor:
    """Halve by 2x2 max-pooling, odd sizes rounded up, until the size is that of ``like``."""
    while x.shape[-2] > like.shape[-2] or x.shape[-1] > like.shape[-1]:
        x = F.max_pool2d(x, 2, ceil_mode=True)
    return x


def _mask(in_channels: int, out_channels: int, reduction: int, activation: str) -> nn.Sequential:
    hidden = out_channels // reduction
    return nn.Sequential(
        _kaiming(nn.Conv2d(in_channels, hidden, 1)),
        nn.BatchNorm2d(hidden),
        activation_layer(activation),
        _kaiming(nn.Conv2d(hidden, out_channels, 1)),
        nn.BatchNorm2d(out_channels),
        nn.Sigmoid(),
    )


def _carry(in_channels: int, out_channels: int, separable: bool, activation: str) -> nn.Sequential:
    convs = [nn.Conv2d(in_channels, out_channels, 3, padding=1)]
    if separable:
        convs = [
            nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels),
            nn.Conv2d(in_channels, out_channels, 1),
        ]
    parts = []
    for conv in convs:
        parts += [
            _kaiming(conv),
            nn.BatchNorm2d(conv.out_channels),
            activation_layer(activation),
        ]
    return nn.Sequential(*parts)


def _residual(in_channels: int, out_channels: int) -> Bottleneck:
    project = nn.Sequential(
        _kaiming(nn.Conv2d(in_channels, out_channels, 1, bias=False)), nn.BatchNorm2d(out_channels)
    )
    block = Bottleneck(in_channels, out_channels // Bottleneck.expansion, downsample=project)
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            _kaiming(module)
    return block


def _kaiming(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(conv.weight, mode='fan_out')
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
