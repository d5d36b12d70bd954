"""The pieces that a network consists of, and what each is called with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

STEM = -1
"""``Part.layer`` of what runs before the first layer."""

# what torch's own modules compute with beside their parameters; their other attributes may
# come and go with its versions
_ATTRIBUTES = ('stride', 'padding', 'dilation', 'groups', 'kernel_size', 'num_heads', 'output_size')


@dataclass(frozen=True)
class Part:
    """A piece of an encoder that is counted, trained and reported as one.

    Args:
        name: Name of the submodule inside the encoder.
        module: The submodule itself.
        layer: Which layer it is a copy of, 0 ... L-1; ``STEM``; None for what stands beside the
            layers, e.g. units that join the tasks' networks.
        tasks: Tasks that share it, whose gradients therefore add up in it. Empty where nobody
            shares it or nothing is decided yet.
    """

    name: str
    module: nn.Module
    layer: int | None
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """How a network calls one of its parts.

    Args:
        part: The part.
        inputs: Arguments of its first call.
        times: How often it ran.
        structure: Hash of what ran: modules, sizes of parameters, shapes in and out. Calls of
            equal structure cost the same. It does not depend on how torch prints a module.
    """

    part: Part
    inputs: tuple[Any, ...]
    times: int
    structure: str


def record_calls(parts: Iterable[Part], run: Callable[[], Any]) -> list[Call]:
    """Run a network once and note the calls of its parts; those that did not run are left out."""
    parts = list(parts)
    found: dict[int, list[Any]] = {}

    def note(index: int) -> Callable:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            entry = found.setdefault(index, [inputs, output, 0])
            entry[2] += 1

        return hook

    handles = [part.module.register_forward_hook(note(i)) for i, part in enumerate(parts)]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return [
        Call(part, *_described(part.module, *found[index]))
        for index, part in enumerate(parts)
        if index in found
    ]


def _described(
    module: nn.Module, inputs: tuple[Any, ...], output: Any, times: int
) -> tuple[tuple[Any, ...], int, str]:
    shapes = tree_map(lambda x: tuple(x.shape) if isinstance(x, Tensor) else x, (inputs, output))
    text = f'{_structure(module)}\n{shapes}'
    return inputs, times, hashlib.sha256(text.encode()).hexdigest()[:16]


def _structure(module: nn.Module) -> str:
    """Modules with their settings and the sizes of their tensors, as text."""
    lines = []
    for name, child in module.named_modules():
        own = type(child).__module__.split('.')[0] != 'torch'
        settings = {
            key: value
            for key, value in vars(child).items()
            if (own and key[0] != '_' and key != 'training' or key in _ATTRIBUTES)
            and isinstance(value, bool | int | float | str | tuple)
        }
        tensors = [
            (key, tuple(x.shape), x.requires_grad)
            for key, x in (
                *child.named_parameters(recurse=False),
                *child.named_buffers(recurse=False),
            )
        ]
        lines.append(f'{name} {type(child).__name__} {sorted(settings.items())} {tensors}')
    return '\n'.join(lines)
