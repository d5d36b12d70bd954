"""Encoders cut into a stem and a list of layers, from the models of torchvision and timm."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from bmtas.models.backbones.architectures import build_model
from bmtas.models.backbones.candidates import check_no_dropout, set_dropout, strip_last_affine
from bmtas.models.backbones.dilation import dilate
from bmtas.models.backbones.recipes import STEM, explicit_recipe, find_recipe
from bmtas.models.backbones.timm_models import TIMM, build_timm, timm_recipe
from bmtas.models.backbones.weights import load_weights
from bmtas.registry import MODELS
from bmtas.typed import Count, Positive


@MODELS.register_module()
class LayeredBackbone:
    """A template from which encoders copy the stem and the layers.

    Not a module: it holds one set of initial weights, and every copy starts from them. The
    context module (ASPP or R-ASPP) is the last layer.

    Args:
        arch: A classification model of torchvision, e.g. ``mobilenet_v2`` or ``resnet50``, or of
            timm, e.g. ``timm/resnet50d``: its stages are the layers.
        output_stride: Input pixels per pixel of the deep feature; later strides are replaced by
            dilation.
        weights: None for random weights, or what ``bmtas.models.backbones.weights`` takes:
            ``imagenet``, ``offline``, a torchvision name, a file.
        aspp: Options of the context module that replace those of the recipe, e.g.
            ``dict(channels=128, dropout=0.0)`` or another ``type``; False leaves the context module
            out.
        low_level_index: Layer that feeds the decoder; by default the last one at stride 4.
        stem: Child names of the stem, with ``layers`` for models without a recipe.
        layers: Child names of each layer, a name or a list of names.
        width: Factor of the channels, for VGG and MobileNetV2.

    Attributes:
        num_layers: L, context module included.
        layer_names: L names, the model's own child names and ``aspp`` for the context module.
        out_channels: Channels after each layer.
        stem_channels: Channels after the stem.
        strides: Input pixels per pixel after each layer.
        branch_strides: Number of stride-2 steps that follow each layer.
        stage_ends: Indices of the last layer of each stage (a run of layers of one width).
        low_level_index: Index of the layer that feeds the decoder.

    Raises:
        ValueError: Unknown architecture or child, or a stride that cannot be had.
        FileNotFoundError: Weights that are not there.
    """

    def __init__(
        self,
        arch: str = 'mobilenet_v2',
        output_stride: Count = 16,
        weights: str | None = None,
        aspp: Mapping[str, Any] | Literal[False] | None = None,
        low_level_index: int | None = None,
        stem: Sequence[str] | None = None,
        layers: Sequence[str | Sequence[str]] | None = None,
        width: Positive = 1.0,
    ) -> None:
        if (stem is None) != (layers is None):
            raise ValueError('backbone: stem and layers are given together or not at all')
        if arch.startswith(TIMM):
            model = build_timm(arch, width, weights)
            recipe = timm_recipe(arch, model) if stem is None else None
        else:
            model = build_model(arch, width)
            if weights is not None:
                load_weights(model, arch, weights)
            recipe = find_recipe(arch, model) if stem is None else None
        if recipe is None:
            recipe = explicit_recipe(stem, layers, dict(type='ASPP'))
        self.arch, self.output_stride = arch, output_stride
        self._stem = recipe.finish(_cut(model, recipe.stem, arch), STEM)
        self._layers = [
            recipe.finish(_cut(model, part, arch), index)
            for index, part in enumerate(recipe.layers)
        ]
        strides, channels = dilate(arch, self._stem, self._layers, output_stride)
        self.stem_channels, self.out_channels, self.strides = channels[0], channels[1:], strides[1:]
        names = [part[0] for part in recipe.layers]
        if aspp is not False:
            options = {**recipe.aspp, **(aspp or {})}
            if options['type'] != recipe.aspp['type']:
                options = dict(aspp)
            self._layers.append(MODELS.build(dict(options, in_channels=self.out_channels[-1])))
            names.append('aspp')
        self._finish(names, low_level_index)

    def _finish(self, names: list[str], low_level_index: int | None) -> None:
        width = self.out_channels
        self.stage_ends = [i for i, w in enumerate(width) if width[i + 1 : i + 2] != [w]]
        if len(names) > len(width):
            self.out_channels.append(self._layers[-1].out_channels)
            self.strides.append(self.strides[-1])
        self.layer_names = names
        self.num_layers = len(self._layers)
        self.branch_strides = [(self.strides[-1] // s).bit_length() - 1 for s in self.strides]
        if low_level_index is None:
            at_four = [i for i, stride in enumerate(self.strides) if stride <= 4]
            low_level_index = at_four[-1] if at_four else 0
        if not 0 <= low_level_index < self.num_layers:
            raise ValueError(
                f'low_level_index: must be 0 to {self.num_layers - 1}, got {low_level_index}'
            )
        self.low_level_index = low_level_index

    @property
    def features(self) -> dict[str, Any]:
        """What an encoder of this backbone tells about its features and layers."""
        return dict(
            deep_channels=self.out_channels[-1],
            low_channels=self.out_channels[self.low_level_index],
            layer_names=self.layer_names,
        )

    def copy_stem(self) -> nn.Module:
        """Return a fresh stem with the template's weights."""
        return copy.deepcopy(self._stem)

    def copy_layer(
        self, index: int, last_affine: bool = True, dropout: float | None = None
    ) -> nn.Module:
        """Return a fresh layer with the template's weights.

        Args:
            index: Layer, 0 ... L-1.
            last_affine: Whether a norm at the layer's end scales and shifts. Candidates of the
                supergraph go without, so that their outputs are of one scale when mixed.
            dropout: Probability of everything that the layer drops at random (values, attention,
                residual branches), None keeps the recipe's.

        Raises:
            ValueError: With ``dropout=0`` the layer still draws random numbers.
        """
        layer = copy.deepcopy(self._layers[index])
        if not last_affine:
            strip_last_affine(layer)
        if dropout is not None:
            set_dropout(layer, dropout)
        if dropout == 0:
            channels = [self.stem_channels, *self.out_channels][index]
            check_no_dropout(layer, channels, self.layer_names[index])
        return layer


def build_backbone(backbone: LayeredBackbone | Mapping[str, Any]) -> LayeredBackbone:
    """Return the template, built from its config if need be."""
    return MODELS.build(dict(backbone)) if isinstance(backbone, Mapping) else backbone


def _cut(model: nn.Module, part: Sequence[str], arch: str) -> nn.Module:
    """Copy the named children; several become a sequence."""
    found = OrderedDict()
    for name in part:
        try:
            found[name.replace('.', '_')] = copy.deepcopy(model.get_submodule(name))
        except AttributeError:
            known = [child for child, _ in model.named_children()]
            raise ValueError(f'backbone: {arch} has no child {name!r}, it has {known}') from None
    if not found:
        raise ValueError(f'backbone: an empty part among stem and layers of {arch}')
    return next(iter(found.values())) if len(found) == 1 else nn.Sequential(found)
