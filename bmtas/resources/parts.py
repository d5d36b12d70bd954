"""What a network says about the pieces that it consists of."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

STEM = -1
"""``Part.layer`` of what runs before the first layer."""


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
