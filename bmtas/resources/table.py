"""The resource table: what one copy of the stem, of every layer and of every head costs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bmtas.files import read_json, write_json

VERSION = 1
IDENTITY = ('unit', 'convention', 'input_size', 'backbone')


@dataclass(frozen=True)
class Costs:
    """Cost of the stem, of one copy of each layer and of each task's head."""

    stem: int
    layers: tuple[int, ...]
    heads: Mapping[str, int]

    def total(self, copies: Sequence[int] | None = None, stems: int = 1) -> int:
        """Cost with ``copies[l]`` copies of layer l (default one) and all heads."""
        copies = [1] * len(self.layers) if copies is None else copies
        if len(copies) != len(self.layers):
            raise ValueError(f'{len(copies)} counts of copies for {len(self.layers)} layers')
        shared = sum(n * c for n, c in zip(copies, self.layers))
        return stems * self.stem + shared + sum(self.heads.values())

    @property
    def shared(self) -> int:
        """Cost of the network in which all tasks share every layer."""
        return self.total()

    @property
    def separate(self) -> int:
        """Cost of the branched network that splits after the stem."""
        return self.total([len(self.heads)] * len(self.layers))

    @property
    def single(self) -> int:
        """Cost of one whole network for each task, the stem repeated."""
        return self.total([len(self.heads)] * len(self.layers), stems=len(self.heads))


@dataclass(frozen=True)
class ResourceTable(Costs):
    """Costs with their meaning; ``params`` are the parameters of the same parts.

    Args:
        stem, layers, heads: Integers in ``unit``; they add up to the cost of a network exactly.
        layer_names: One name for each layer.
        unit: ``MAdds``, ``params``, ``bytes`` or ``us``.
        convention: How it was counted, e.g. ``mac`` or ``paper``.
        input_size: (H, W) of the image in pixels.
        backbone: Hash of the structure that was counted (layers and heads, not weights).
        params: Parameters of the same parts.
    """

    layer_names: tuple[str, ...]
    unit: str
    convention: str
    input_size: tuple[int, int]
    backbone: str
    params: Costs

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.heads)

    def identity(self) -> dict[str, Any]:
        """What must agree for a stored table to be used again."""
        return {key: getattr(self, key) for key in IDENTITY}

    def to_file(self, path: str | os.PathLike) -> None:
        """Write as JSON, with a checksum of the content."""
        content = dict(version=VERSION, **asdict(self))
        write_json(path, dict(content, checksum=_checksum(content)))

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> ResourceTable:
        """Read a table.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not a resource table; the message names file and key.
        """
        data = read_json(path, 'resource table')
        try:
            if data.pop('checksum') != _checksum(data):
                raise ValueError('the checksum is wrong, the file was damaged or changed')
            params = data['params']
            return cls(
                stem=int(data['stem']),
                layers=tuple(map(int, data['layers'])),
                heads={str(k): int(v) for k, v in data['heads'].items()},
                layer_names=tuple(data['layer_names']),
                unit=data['unit'],
                convention=data['convention'],
                input_size=tuple(data['input_size']),
                backbone=data['backbone'],
                params=Costs(int(params['stem']), tuple(params['layers']), dict(params['heads'])),
            )
        except KeyError as error:
            raise ValueError(f'{path}: not a resource table, key {error} is missing') from None
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f'{path}: not a resource table ({error})') from None


def _checksum(content: Mapping[str, Any]) -> str:
    """Of the content as it is read back: a cost that was changed by hand is not believed."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
