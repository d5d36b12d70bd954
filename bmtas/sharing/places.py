"""The places of a network, its stem and layers, and what a task's network is there."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bmtas.models.encoders import STEM
from bmtas.sealed import load_state
from bmtas.sharing.deltas import Product, TaskDelta
from bmtas.sharing.ops import operators
from bmtas.sharing.rows import in_rows


@dataclass
class Place:
    """Stem or layer of the base network.

    Args:
        name: Its name in the encoder, ``stem`` or ``layers.3``.
        index: Number of the layer; STEM for the stem.
        module: The base's.
    """

    name: str
    index: int
    module: nn.Module

    @cached_property
    def ops(self) -> list[tuple[str, nn.Module]]:
        """Its linear operators by name."""
        return operators(self.module)

    @property
    def is_meta(self) -> bool:
        """Whether it only propagates shapes: then nothing can be compared."""
        first = next(self.module.parameters(), None)
        return first is not None and first.is_meta

    def full_name(self, op: str) -> str:
        """Name of an operator in the encoder, e.g. ``layers.3.attn.qkv``."""
        return f'{self.name}.{op}'.rstrip('.')


def places_of(stem: nn.Module, layers: nn.ModuleList) -> list[Place]:
    """All places, in order."""
    named = [Place(f'layers.{index}', index, layer) for index, layer in enumerate(layers)]
    return [Place('stem', STEM, stem), *named]


def load_parts(module: nn.Module, path: str, starts: tuple[str, ...], prefix: str) -> None:
    """Load the tensors of a module that start so from a checkpoint, where they have a prefix.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A tensor is missing or of another shape.
    """
    state = load_state(path)
    state = state.get('state_dict', state)
    own = {k: v for k, v in module.state_dict().items() if k.startswith(starts)}
    found = {k: state.get(f'{prefix}{k}') for k in own}
    wrong = [k for k, v in own.items() if found[k] is None or found[k].shape != v.shape]
    if wrong:
        raise ValueError(
            f'model.encoder.base: {path} has no {prefix}{wrong[0]} of this shape (and '
            f'{len(wrong) - 1} more); it must be a checkpoint of the base task'
        )
    module.load_state_dict(found, strict=False)


@dataclass
class TaskPlace:
    """A sub-task's network at one place, called as ``task_place(x)``.

    Args:
        module: The base's, or one of its own.
        tensors: What stands in for the module's tensors; None for its own.
        products: By operator: how the delta is applied to rows, None where it cannot be, and its
            multiply-adds for each row.
    """

    module: nn.Module
    tensors: dict[str, Tensor] | None = None
    products: dict[str, tuple[Product | None, int]] = field(default_factory=dict)

    @cached_property
    def ops(self) -> list[tuple[str, nn.Module]]:
        """Its linear operators by name."""
        return operators(self.module)

    def __call__(self, x: Tensor) -> Tensor:
        """The place's output."""
        if self.tensors is None:
            return self.module(x)
        return functional_call(self.module, self.tensors, (x,))


def trained_place(
    place: Place, delta: TaskDelta, generator: torch.Generator | None = None
) -> TaskPlace:
    """The task's network through the base's modules, so that gradients reach the delta."""
    return TaskPlace(place.module, delta.tensors(place.name, place.module, generator))


def merged_place(place: Place, delta: TaskDelta) -> TaskPlace:
    """The task's network as modules of their own with merged weights, for use."""
    module = copy.deepcopy(place.module).eval().requires_grad_(False)
    merged = delta.tensors(place.name, place.module)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        tensor.data = _laid_out(merged[name].detach())
    products = {}
    for name, op in place.ops:
        weight: Any = delta.get_submodule(place.full_name(name) + '.weight')
        bias: Any = op.bias is not None and delta.get_submodule(place.full_name(name) + '.bias')
        product = weight.product(bias.dense() if bias else None) if in_rows(op) else None
        products[name] = (product, weight.cost())
    return TaskPlace(module, None, products)


def _laid_out(tensor: Tensor) -> Tensor:
    # matrices by columns: a third faster for few rows, equal for many
    return tensor.t().contiguous().t() if tensor.dim() == 2 else tensor
