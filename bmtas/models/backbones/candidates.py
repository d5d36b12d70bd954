"""What a layer loses before it becomes a candidate: dropout, and the scale of its output."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)
# children that carry the residual connection: their norm is not the last of the layer
_SHORTCUTS = ('downsample', 'proj', 'shortcut')
# where modules keep the probability of dropping something: torch's dropouts and StochasticDepth
# (p), timm's DropPath (drop_prob), DenseNet's layers, attention
_RATES = ('p', 'drop_prob', 'drop_rate', 'dropout', 'attention_dropout', 'attn_dropout')


def set_dropout(layer: nn.Module, rate: float) -> None:
    """Set the probability of everything that a layer drops at random, in place."""
    for module in layer.modules():
        for name in _RATES:
            if isinstance(getattr(module, name, None), int | float):
                setattr(module, name, rate)


def check_no_dropout(layer: nn.Module, channels: int, name: str) -> None:
    """Train a copy of a layer on zeros and see whether it draws random numbers.

    Args:
        layer: The layer; on the meta device nothing can be seen and all is well.
        channels: Channels of its input.
        name: What the message calls it.

    Raises:
        ValueError: It does, though its dropout should be off.
    """
    device = next(layer.parameters(), torch.empty(0)).device
    if device.type != 'cpu':
        return
    probe = copy.deepcopy(layer).train()
    with torch.random.fork_rng(devices=()), torch.no_grad():
        before = torch.get_rng_state()
        probe(torch.zeros(2, channels, 8, 8))
        if not torch.equal(before, torch.get_rng_state()):
            raise ValueError(
                f'backbone: the dropout of layer {name} cannot be switched off (no attribute of '
                f'its modules among {", ".join(_RATES)} does); a candidate must not be random'
            )


def last_norm_name(layer: nn.Module) -> str | None:
    """Name of the norm that sets the scale of a layer's output.

    It is the last module with parameters on the layer's main path, whatever kind of norm it is.
    None where there is no such norm: without norms, or where weights follow the last one, as in
    layers that normalise first (transformers, ConvNeXt, DenseNet).
    """
    main = [
        (name, module)
        for name, module in layer.named_modules()
        if not set(name.split('.')) & set(_SHORTCUTS)
        and (isinstance(module, NORMS) or next(module.parameters(False), None) is not None)
    ]
    if not main or not isinstance(main[-1][1], NORMS):
        return None
    return main[-1][0]


def strip_last_affine(layer: nn.Module) -> None:
    """Take scale and shift from the norm at a layer's end, in place; others stay as they are."""
    name = last_norm_name(layer)
    if name is None:
        return
    norm = layer.get_submodule(name)
    norm.weight = norm.bias = None
    for flag in ('affine', 'elementwise_affine'):
        if hasattr(norm, flag):
            setattr(norm, flag, False)


def keeps_scale(layer: nn.Module) -> bool:
    """Whether a layer has weights but no norm at its end that could lose its scale."""
    return last_norm_name(layer) is None and next(layer.parameters(), None) is not None
