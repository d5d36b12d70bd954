"""Units: the channels of the tensors of a network, and which of them carry one mask.

Every channel of a tensor is a unit. Units that are united carry one mask entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: unit of each channel, their dimension, and whether a masked channel
    is zero throughout."""

    units: np.ndarray
    dim: int
    zero: bool = True


@dataclass(frozen=True)
class Site:
    """A module with weights by channel.

    Args:
        name: Name of the module inside the traced one.
        op: Operator: ``conv2d``, ``linear``, ``batch_norm``, ...
        inputs, outputs: Units of its channels; a flattened channel is listed for every position.
        groups: Groups of a convolution or a group norm.
        dim: Dimension of the output's channels.
        norm: Name of the norm that alone follows; '' if there is none.
        exact: Whether masked channels of the input are zero.
    """

    name: str
    op: str
    inputs: np.ndarray
    outputs: np.ndarray
    groups: int = 1
    dim: int = 1
    norm: str = ''
    exact: bool = True


class Units:
    """Disjoint sets of units; those of a set carry one mask entry.

    Attributes:
        openings: Name of the module -> the units that it opened, in the order of the network.
    """

    def __init__(self) -> None:
        self._parent = np.zeros(0, int)
        self._free = np.zeros(0, bool)
        self.openings: dict[str, np.ndarray] = {}

    def open(self, name: str, count: int, free: bool) -> np.ndarray:
        """New units; ``free`` ones may be masked."""
        start = len(self._parent)
        units = np.arange(start, start + count)
        self._parent = np.concatenate([self._parent, units])
        self._free = np.concatenate([self._free, np.full(count, free)])
        self.openings[name] = units
        return units

    def roots(self, units: np.ndarray) -> np.ndarray:
        """The oldest unit of each one's set."""
        found = self._parent[units]
        while (found != (further := self._parent[found])).any():
            found = further
        return found

    def unite(self, first: np.ndarray, second: np.ndarray) -> None:
        """Join units pairwise; the older one stands for the set."""
        for a, b in zip(first.tolist(), second.tolist()):
            a, b = self._root(a), self._root(b)
            low, high = min(a, b), max(a, b)
            self._parent[high] = low
            self._free[low] &= self._free[high]

    def _root(self, unit: int) -> int:
        while self._parent[unit] != unit:
            unit = self._parent[unit]
        return unit

    def free(self, units: np.ndarray) -> np.ndarray:
        """Whether each unit may be masked."""
        return self._free[self.roots(units)]

    def groups(self) -> dict[str, np.ndarray]:
        """Name of the first opening -> the units that may be masked and that stand for a set."""
        found = {
            name: units[(self.roots(units) == units) & self._free[units]]
            for name, units in self.openings.items()
        }
        return {name: units for name, units in found.items() if len(units)}

    def __len__(self) -> int:
        return len(self._parent)


def masked_sites(units: Units, sites: dict[str, Site]) -> Iterator[Site]:
    """Sites behind which a mask belongs: norms, and convolutions without one.

    Only those some of whose channels may be masked.
    """
    for site in sites.values():
        if not site.norm and units.free(site.outputs).any():
            yield site
