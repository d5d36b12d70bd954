"""The units of resources: one table for search, reports, pictures and the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from bmtas.resources.counting import count_madds, count_params, count_saved_bytes, materialised
from bmtas.resources.latency import measure_latency, on_device


@dataclass(frozen=True)
class Unit:
    """A resource and how it is counted, written and read.

    Args:
        quantity: Name of the resource, as in ``resources.quantity``.
        name: Unit of the integers in a resource table.
        scale: What they are divided by where people read them and where lambda weighs them.
        label: Unit after that division.
        suffixes: Multiples that a budget may be written in, e.g. ``{'G': 1e9}``.
        count: ``count(module, inputs, how)`` -> integer, for a module and tensors on the meta
            device; ``how`` is the convention or the device, see ``depends``.
        depends: 'convention' or 'device', if the integers depend on one of them.
        per_call: Whether a module that runs twice costs twice.
        additive: Whether the parts' costs are those of the network. If not, the whole network is
            counted, too, and what it takes beside its parts goes to the stem, which all trees have.
    """

    quantity: str
    name: str
    scale: float
    label: str
    suffixes: Mapping[str, float]
    count: Callable[[nn.Module, tuple[Any, ...], str], int]
    depends: str | None = None
    per_call: bool = True
    additive: bool = True

    def readable(self, value: float) -> str:
        """``15.7 GMAdds``: one decimal as in published tables, more below 1."""
        scaled = value / self.scale
        return f'{scaled:.1f} {self.label}' if scaled >= 1 or not scaled else self.exact(value)

    def exact(self, value: float, digits: int = 3) -> str:
        """The value with a number of significant digits and the label."""
        return f'{value / self.scale:.{digits}g} {self.label}'


_PREFIXES = {'': 1.0, 'k': 1e3, 'K': 1e3, 'M': 1e6, 'G': 1e9, 'T': 1e12}
_ALL = (
    Unit(
        'madds',
        'MAdds',
        1e9,
        'GMAdds',
        {p + word: n for word in ('', 'MAdd', 'MAdds') for p, n in _PREFIXES.items()},
        lambda module, inputs, how: count_madds(*materialised(module, inputs), convention=how),
        depends='convention',
    ),
    Unit(
        'params',
        'params',
        1e6,
        'M parameters',
        _PREFIXES,
        lambda m, *_: count_params(m),
        per_call=False,
    ),
    Unit(
        'activations',
        'bytes',
        1e6,
        'MB',
        {'': 1.0, 'B': 1.0, 'kB': 1e3, 'MB': 1e6, 'GB': 1e9},
        lambda module, inputs, how: count_saved_bytes(module, *inputs),
    ),
    Unit(
        'latency',
        'us',
        1e3,
        'ms',
        {'': 1.0, 'us': 1.0, 'ms': 1e3, 's': 1e6},
        lambda module, inputs, how: measure_latency(*on_device(module, inputs, how)),
        depends='device',
        additive=False,
    ),
)

UNITS: dict[str, Unit] = {unit.quantity: unit for unit in _ALL}
"""By quantity; a new resource is a new entry."""


def get_unit(quantity: str) -> Unit:
    """The unit of a quantity.

    Raises:
        ValueError: Unknown quantity.
    """
    if quantity not in UNITS:
        raise ValueError(f'resources.quantity: unknown {quantity!r}, choose from {sorted(UNITS)}')
    return UNITS[quantity]


def unit_named(name: str) -> Unit:
    """The unit of a resource table, by ``Unit.name``.

    Raises:
        ValueError: Unknown name.
    """
    for unit in UNITS.values():
        if unit.name == name:
            return unit
    raise ValueError(f'resource table: unknown unit {name!r}')


def parse_budget(text: str | float, quantity: str, key: str = 'budget') -> float:
    """Read a budget such as ``9.1G``, ``4M``, ``5ms`` or ``120MB``.

    Args:
        text: A number, in the unit of the resource table, or a number with a suffix.
        quantity: What it is a budget of, e.g. ``madds``.
        key: What the message names.

    Returns:
        The budget in the unit of the resource table, positive.

    Raises:
        ValueError: No number, a suffix of another quantity, or nothing above 0.
    """
    unit = get_unit(quantity)
    shortest = next(s for s, n in unit.suffixes.items() if n == unit.scale)
    example = f'write e.g. 4{shortest} for 4 {unit.label} of {quantity}'
    found = re.fullmatch(r'\s*([-+0-9.eE]*[0-9.])\s*([A-Za-z]*)\s*', str(text))
    try:
        value = float(found[1])
    except (TypeError, ValueError):
        raise ValueError(f'{key}: {text!r} is no number with a unit; {example}') from None
    if found[2] not in unit.suffixes:
        others = [u.quantity for u in UNITS.values() if found[2] in u.suffixes]
        hint = f', but of {" and ".join(others)}' if others else ''
        raise ValueError(f'{key}: {text!r}: {found[2]} is no unit of {quantity}{hint}; {example}')
    value *= unit.suffixes[found[2]]
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f'{key}: must be positive, got {text!r}; {example}')
    return value
