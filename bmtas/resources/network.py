"""The network of a config as shapes: built without weights, and how its parts are called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.registry import MODELS
from bmtas.resources.counting import plain_evaluation
from bmtas.resources.parts import STEM, Call, Part, record_calls

WEIGHT_KEYS = ('weights', 'init_from', 'init_cfg')


def without_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of a model's config whose encoder names no file of weights: costs need none."""
    copy = {k: None if k == 'init_cfg' else v for k, v in model.items()}
    return {**copy, 'encoder': _stripped(copy['encoder'])} if 'encoder' in copy else copy


def _stripped(cfg: Any) -> Any:
    if isinstance(cfg, Mapping):
        return {k: None if k in WEIGHT_KEYS else _stripped(v) for k, v in cfg.items()}
    return cfg


def shared_network(model: Mapping[str, Any]) -> dict[str, Any]:
    """Config of the network itself, or of the shared one where the tree is open."""
    if is_open(model):
        encoder = MODELS.get(model['encoder']['type']).config_of_tree(model['encoder'], 'shared')
        return dict(model, encoder=encoder)
    return dict(model)


def is_open(model: Mapping[str, Any]) -> bool:
    """Whether a model's config leaves the tree open: a supergraph, or no routes yet."""
    encoder = model['encoder']
    return MODELS.get(encoder['type']).takes_tree and encoder.get('routes') is None


def build_shapes(model: Mapping[str, Any]) -> nn.Module:
    """The network of a model's config on the meta device; the shared one where a tree is open."""
    with torch.device('meta'):
        built = MODELS.build(without_weights(shared_network(model)))
    return built.to('meta')  # buffers that are made of numpy arrays, too


def layer_names(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the layers that the tasks of a model's config may share; nothing is counted."""
    return build_shapes(model).encoder.layer_names


@dataclass(frozen=True)
class Network:
    """A network on the meta device and the calls of its parts for one image.

    Args:
        model: The ``MultiTaskModel``.
        image: (1, 3, H, W).
        encoder: Calls of the encoder's parts.
        heads: Calls of the heads by task.
    """

    model: nn.Module
    image: Tensor
    encoder: tuple[Call, ...]
    heads: Mapping[str, Call]

    @classmethod
    def of(cls, model: Mapping[str, Any], input_size: Sequence[int]) -> Network:
        """Build a model's config (with its tasks) without weights and run it on shapes."""
        built = build_shapes(model)
        heads = [Part(name, head, None, (name,)) for name, head in built.heads.items()]
        parts = built.encoder.parts()
        image = torch.empty(1, 3, *input_size, device='meta')
        with plain_evaluation(built):
            calls = record_calls([*parts, *heads], lambda: built(image, mode='tensor'))
        known = {id(part) for part in parts}
        encoder = tuple(call for call in calls if id(call.part) in known)
        by_task = {c.part.name: c for c in calls if id(c.part) not in known}
        return cls(built, image, encoder, {name: by_task[name] for name in built.heads})

    @property
    def layer_names(self) -> tuple[str, ...]:
        return self.model.encoder.layer_names

    def one_of(self, layer: int) -> Call | None:
        """The first part that runs in this layer."""
        return next((call for call in self.encoder if call.part.layer == layer), None)

    def structure(self) -> str:
        """Hash of what stem, layers and heads consist of."""
        places = [STEM, *range(len(self.layer_names))]
        calls = [self.one_of(layer) for layer in places]
        text = [call.structure if call else '' for call in calls]
        text += [f'{name}: {call.structure}' for name, call in self.heads.items()]
        return hashlib.sha256('\n'.join(text).encode()).hexdigest()[:16]


class WholeNetwork(nn.Module):
    """A multi-task network as a function of images alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> logits of all tasks."""
        return tuple(self.model(images, mode='tensor').values())
