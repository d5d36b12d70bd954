"""The methods of torchjd: which there are, what they take, what they keep between updates."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.typed import accepted_arguments, check_arguments

SUM_LIKE = ('Sum', 'UW', 'DWA', 'IMTLL')
"""Methods whose weights add up to about T, like a plain sum of losses. Only for these is it right
to divide the learning rate of a shared block by the number of its tasks."""


DEFAULTS: Mapping[str, Mapping[str, Any]] = {'CAGrad': dict(c=0.4)}
"""Arguments that torchjd asks for, from the methods' papers."""


def find_method(name: str) -> type:
    """The class of torchjd with this name, a scalarizer or an aggregator.

    Raises:
        ValueError: torchjd is not installed, or has no such method.
    """
    try:
        from torchjd import aggregation, scalarization
    except ImportError:
        raise ValueError(
            f'train_cfg.balancing: {name} needs the library torchjd; pip install ".[balancing]"'
        ) from None
    known = {}
    for room, base in ((scalarization, 'Scalarizer'), (aggregation, 'Aggregator')):
        for cls in vars(room).values():
            if inspect.isclass(cls) and issubclass(cls, getattr(room, base)):
                # names in both rooms (Sum, Mean, Random, Constant) are scalarizers: same sum, one
                # backward pass
                known.setdefault(cls.__name__, cls)
    if name not in known or inspect.isabstract(known[name]):
        names = sorted(key for key, cls in known.items() if not inspect.isabstract(cls))
        raise ValueError(
            f'train_cfg.balancing.method: torchjd has no method {name!r}; choose from '
            f'{", ".join(names)}'
        )
    return known[name]


def check_method(method: str, lr: float = 0.01, **kwargs: Any) -> type:
    """The class of a method that has these arguments.

    Raises:
        ValueError: Unknown method or argument.
    """
    cls = find_method(method)
    accepted = {'lr': float, **(accepted_arguments(cls) or {})}
    check_arguments(dict(kwargs, lr=lr), accepted, 'train_cfg.balancing', method)
    return cls


def memory(method: nn.Module) -> dict[str, dict[str, Any]]:
    """Plain attributes by module: what a method keeps beside parameters and buffers.

    torchjd's methods have no state of their own to save (DWA's losses of the last two passes).
    """
    known = vars(nn.Module())
    found = {}
    for name, module in method.named_modules():
        values = {k: v for k, v in vars(module).items() if k not in known and _is_plain(v)}
        if values:
            found[name] = values
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, Tensor))


def inner_optimizers(method: nn.Module) -> list[torch.optim.Optimizer]:
    return [v for v in vars(method).values() if isinstance(v, torch.optim.Optimizer)]


def is_scalarizer(cls: type) -> bool:
    from torchjd.scalarization import Scalarizer

    return issubclass(cls, Scalarizer)


def steps_itself(method: nn.Module) -> bool:
    """Whether the method moves its parameters by itself, from losses before and after a step."""
    return hasattr(method, 'update')
