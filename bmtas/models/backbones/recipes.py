"""Recipes: which children of a torchvision model are the stem and which are the layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.densenet import _DenseLayer
from torchvision.ops import Permute

STEM = -1
"""Index of the stem for ``Recipe.finish``."""
RASPP = dict(type='RASPP', channels=128)
ASPP = dict(type='ASPP', channels=256)


@dataclass(frozen=True)
class Recipe:
    """How a model is cut; a part is a tuple of child names that run one after the other.

    Args:
        stem: Names of the children in front of the first layer, e.g. ``('conv1', 'bn1')``.
        layers: One tuple of names for each searchable layer.
        aspp: Config of the context module that follows as the last layer.
        finish: ``finish(part, index)`` makes a cut part take and give maps (N, C, H, W); the index
            is that of the layer, or ``STEM``.
    """

    stem: tuple[str, ...]
    layers: tuple[tuple[str, ...], ...]
    aspp: Mapping[str, Any]
    finish: Callable[[nn.Module, int], nn.Module] = lambda part, index: part


def find_recipe(arch: str, model: nn.Module) -> Recipe:
    """Return the recipe of a torchvision classification model.

    Args:
        arch: Name of the model as in ``torchvision.models.list_models()``.
        model: The model itself; its children are counted, not run.

    Raises:
        ValueError: The family has no recipe; the message says how to name the parts.
    """
    for prefixes, cut in _FAMILIES.items():
        if arch.startswith(prefixes):
            return cut(model)
    families = ', '.join(sorted(name for prefixes in _FAMILIES for name in prefixes))
    raise ValueError(
        f'backbone: no recipe for arch {arch!r} (families: {families}); '
        'name its parts with stem=[child, ...] and layers=[[child, ...], ...]'
    )


def explicit_recipe(
    stem: Iterable[str], layers: Iterable[str | Sequence[str]], aspp: Mapping[str, Any]
) -> Recipe:
    """Build a recipe from child names given in a config; a lone name is a part of one child."""
    parts = tuple((part,) if isinstance(part, str) else tuple(part) for part in layers)
    return Recipe((stem,) if isinstance(stem, str) else tuple(stem), parts, aspp)


def _resnet(model: nn.Module) -> Recipe:
    layers = tuple(
        (f'layer{stage}.{index}',)
        for stage in (1, 2, 3, 4)
        for index in range(len(getattr(model, f'layer{stage}')))
    )
    return Recipe(('conv1', 'bn1', 'relu', 'maxpool'), layers, ASPP)


def _mobilenet(model: nn.Module) -> Recipe:
    # the last child is the 1x1 convolution in front of the classifier
    layers = tuple((f'features.{index}',) for index in range(1, len(model.features) - 1))
    return Recipe(('features.0',), layers, RASPP)


def _efficientnet(model: nn.Module) -> Recipe:
    layers = tuple(
        (f'features.{stage}.{index}',)
        for stage in range(1, len(model.features) - 1)
        for index in range(len(model.features[stage]))
    )
    return Recipe(('features.0',), layers, RASPP)


def _regnet(model: nn.Module) -> Recipe:
    layers = tuple(
        (f'trunk_output.{stage}.{block}',)
        for stage, blocks in model.trunk_output.named_children()
        for block, _ in blocks.named_children()
    )
    return Recipe(('stem',), layers, ASPP)


def _vgg(model: nn.Module) -> Recipe:
    # a layer is a convolution with what follows it: norm, activation, pooling
    parts: list[list[str]] = []
    for name, child in model.features.named_children():
        if isinstance(child, nn.Conv2d):
            parts.append([])
        parts[-1].append(f'features.{name}')
    return Recipe(tuple(parts[0]), tuple(tuple(part) for part in parts[1:]), ASPP)


def _stages(model: nn.Module) -> tuple[tuple[str, ...], ...]:
    """Blocks of ConvNeXt and Swin; what lies between two stages belongs to the next block."""
    layers, between = [], ()
    for index, stage in list(enumerate(model.features))[1:]:
        if index % 2 == 0:
            between = (f'features.{index}',)
            continue
        for block in range(len(stage)):
            layers.append((*between, f'features.{index}.{block}'))
            between = ()
    return tuple(layers)


def _convnext(model: nn.Module) -> Recipe:
    return Recipe(('features.0',), _stages(model), ASPP)


def _swin(model: nn.Module) -> Recipe:
    return Recipe(('features.0',), _stages(model), ASPP, pixels_last)


def _conv4(model: nn.Module) -> Recipe:
    blocks = [name for name, _ in model.named_children() if name != 'stem']
    return Recipe(('stem',), tuple((name,) for name in blocks), RASPP)


def _densenet(model: nn.Module) -> Recipe:
    stem, layers, between = [], [], ()
    for name, child in model.features.named_children():
        if name.startswith('denseblock'):
            for layer in dict(child.named_children()):
                layers.append((*between, f'features.{name}.{layer}'))
                between = ()
        elif layers:
            between = (f'features.{name}',)
        else:
            stem.append(f'features.{name}')
    # the norm and the activation behind the last block; without weights of their own elsewhere
    layers[-1] = (*layers[-1], *between)
    return Recipe(tuple(stem), tuple(layers), ASPP, _dense)


class PixelsLast(nn.Module):
    """A part that works on maps (N, H, W, C), between maps (N, C, H, W)."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return self.part(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def pixels_last(part: nn.Module, index: int) -> nn.Module:
    """Turn the maps of parts that work on (N, H, W, C); a stem takes images as they are."""
    if index == STEM:
        return nn.Sequential(OrderedDict(part=part, turn=Permute([0, 3, 1, 2])))
    return PixelsLast(part)


class Growing(nn.Module):
    """A layer of a dense block: what it computes is appended to what it was given."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + growth, H, W)."""
        return torch.cat([x, self.layer(x)], dim=1)


def _dense(part: nn.Module, index: int) -> nn.Module:
    if index == STEM:
        return part
    parts = OrderedDict(part.named_children()) if type(part) is nn.Sequential else {'layer': part}
    return nn.Sequential(
        OrderedDict(
            (name, Growing(child) if isinstance(child, _DenseLayer) else child)
            for name, child in parts.items()
        )
    )


_FAMILIES = {
    ('convnext',): _convnext,
    ('swin',): _swin,
    ('densenet',): _densenet,
    ('resnet', 'resnext', 'wide_resnet'): _resnet,
    ('mobilenet_v2', 'mobilenet_v3'): _mobilenet,
    ('efficientnet',): _efficientnet,
    ('regnet',): _regnet,
    ('vgg',): _vgg,
    ('conv4',): _conv4,
}
