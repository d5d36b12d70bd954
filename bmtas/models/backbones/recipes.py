"""Recipes: which children of a torchvision model are the stem and which are the layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

RASPP = dict(type='RASPP', channels=128)
ASPP = dict(type='ASPP', channels=256)


@dataclass(frozen=True)
class Recipe:
    """How a model is cut; a part is a tuple of child names that run one after the other.

    Args:
        stem: Names of the children in front of the first layer, e.g. ``('conv1', 'bn1')``.
        layers: One tuple of names for each searchable layer.
        aspp: Config of the context module that follows as the last layer.
    """

    stem: tuple[str, ...]
    layers: tuple[tuple[str, ...], ...]
    aspp: Mapping[str, Any]


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


_FAMILIES = {
    ('resnet', 'resnext', 'wide_resnet'): _resnet,
    ('mobilenet_v2', 'mobilenet_v3'): _mobilenet,
    ('efficientnet',): _efficientnet,
    ('regnet',): _regnet,
    ('vgg',): _vgg,
}
