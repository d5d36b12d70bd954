"""The channels of a layered backbone: where masks belong, and which of them are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bmtas.branching import BranchingTree
from bmtas.models.backbones import LayeredBackbone
from bmtas.resources import STEM
from bmtas.task_routing.channels import Tracer
from bmtas.task_routing.mask_table import MaskTable
from bmtas.task_routing.masks import MaskRequest, draw_mask
from bmtas.task_routing.units import Site, Units, Value

PROBE = 64
"""Side in pixels of the image that the graph is exported with."""


class _Chain(nn.Module):
    """Stem and layers in a row; gives the deep and the low-level feature."""

    def __init__(self, parts: Sequence[nn.Module], low_level_index: int) -> None:
        super().__init__()
        self.stem, self.layers = parts[0], nn.ModuleList(parts[1:])
        self.low_level_index = low_level_index

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = low = self.stem(x)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index == self.low_level_index:
                low = x
        return x, low


@dataclass(frozen=True)
class ChannelPlan:
    """Sites and units of stem and layers.

    Args:
        units: The units.
        sites: For each part (the stem, then the layers) its sites by module name.
        groups: Name of a group -> its units; the layers of a mask table.
        part_of: Name of a group -> index of the part that opens it.
        features: Values of the deep and the low-level feature.
        shapes: Shapes of both for an image of ``PROBE`` pixels.
        heads: Sites of heads that were followed, by what they print.
    """

    units: Units
    sites: tuple[Mapping[str, Site], ...]
    groups: Mapping[str, np.ndarray]
    part_of: Mapping[str, int]
    features: tuple[Value, Value]
    shapes: tuple[torch.Size, torch.Size]
    heads: dict[str, dict[str, Site]] = field(default_factory=dict)

    @property
    def widths(self) -> dict[str, int]:
        """Channels of each group."""
        return {name: len(units) for name, units in self.groups.items()}

    def layer_of(self, name: str) -> int:
        """Layer that opens a group, ``STEM`` for the stem."""
        return self.part_of[name] - 1 if self.part_of[name] else STEM

    def spread(self, table: MaskTable) -> np.ndarray:
        """For each task and unit whether it is kept: bool (T, U)."""
        kept = np.ones((len(table.tasks), len(self.units)), bool)
        for name, units in self.groups.items():
            kept[:, units] = table.layers[name]
        return kept[:, self.units.roots(np.arange(len(self.units)))]

    def nodes(self, table: MaskTable) -> list[np.ndarray]:
        """For each part and task (T,) the first task whose masks have been the same so far."""
        found, before = [], np.zeros(len(table.tasks), int)
        for part in range(len(self.sites)):
            names = [name for name in self.groups if self.part_of[name] == part]
            rows = [before[:, None], *(table.layers[name] for name in names)]
            keys = [row.tobytes() for row in np.concatenate(rows, 1).astype(np.int32)]
            first = {key: index for index, key in reversed(list(enumerate(keys)))}
            before = np.array([first[key] for key in keys])
            found.append(before)
        return found

    def head_sites(self, head: nn.Module) -> Mapping[str, Site]:
        """Sites of a head; heads that are printed alike are followed once.

        None of the channels that a head opens itself may be masked.

        Raises:
            ValueError: The head cannot be followed, or ties its own channels to masked ones.
        """
        key = repr(head)
        if key not in self.heads:
            self.heads[key] = self._follow_head(head)
        return self.heads[key]

    def _follow_head(self, head: nn.Module) -> dict[str, Site]:
        weight, mode = next(head.parameters()), head.training
        inputs = [torch.zeros(shape, device=weight.device) for shape in self.shapes]
        tracer = Tracer(self.units, lambda name: False, f'head {len(self.heads)}: ')
        sites, _, _ = tracer.trace(head.eval(), inputs, self.features)
        head.train(mode)
        for name, units in self.groups.items():
            if not self.units.free(units).all():
                raise ValueError(
                    f'head: adds channels of its own to masked ones of layer {name!r}, so it '
                    'cannot be routed; choose another head'
                )
        return sites


def plan_channels(
    backbone: LayeredBackbone, parts: Sequence[nn.Module], first_layer: int = 0
) -> ChannelPlan:
    """Follow the channels through the parts of a backbone.

    Args:
        backbone: The template; only its structure is asked for.
        parts: Stem and layers.
        first_layer: Number of parts, the stem first, whose channels stay with all tasks.

    Raises:
        ValueError: The graph has an operator whose channels cannot be followed.
    """
    if not 0 <= first_layer < len(parts):
        raise ValueError(f'first_layer: must lie in 0 ... {len(parts) - 1}, got {first_layer}')
    names = ['stem', *(f'layers.{index}' for index in range(len(parts) - 1))]

    def part_index(name: str) -> int:
        return 0 if name.startswith('stem') else 1 + int(name.split('.')[1])

    units = Units()
    image = Value(units.open('image', 3, False), 1)
    device = next(parts[0].parameters()).device
    probe = torch.zeros(1, 3, PROBE, PROBE, device=device)
    chain = _Chain(parts, backbone.low_level_index).eval()
    tracer = Tracer(units, lambda name: part_index(name) >= first_layer)
    sites, features, shapes = tracer.trace(chain, [probe], [image])
    chain.train()
    groups = units.groups()
    by_part: list[dict[str, Site]] = [{} for _ in parts]
    for name, site in sites.items():
        part = part_index(name)
        inner = name[len(names[part]) + 1 :]
        norm = site.norm[len(names[part]) + 1 :]
        by_part[part][inner] = replace(site, name=inner, norm=norm)
    part_of = {name: part_index(name) for name in groups}
    return ChannelPlan(units, tuple(by_part), groups, part_of, tuple(features), tuple(shapes))


def make_masks(
    plan: ChannelPlan,
    tasks: Sequence[str],
    keep_ratio: float,
    scheme: str | Mapping[str, Any],
    seed: int,
) -> MaskTable:
    """Draw or read the masks of all groups of a plan, see ``RoutedEncoder``."""
    options = dict(scheme) if isinstance(scheme, Mapping) else dict(name=scheme)
    name = options.pop('name', None)
    if name == 'file':
        masks = options.get('masks')
        if masks is None:
            raise ValueError("scheme 'file' needs masks=FILE")
        content = isinstance(masks, Mapping)
        table = MaskTable.from_content(masks) if content else MaskTable.from_file(masks)
        if set(table.tasks) == set(tasks):
            table = table.select(tasks)
        table.check(tasks, plan.widths, 'masks' if content else masks)
        return table
    tree = None
    if name == 'tree' and 'branching' in options:
        layers = len(plan.sites) - 1
        tree = BranchingTree.from_file(options.pop('branching'), tasks, layers)
    layers = {}
    for group, units in plan.groups.items():
        layer = plan.layer_of(group)
        # the stem is never searched: all tasks share it
        groups = None if tree is None else [0] * len(tasks) if layer == STEM else tree.routes[layer]
        request = MaskRequest(group, len(units), tasks, keep_ratio, seed, options, groups)
        layers[group] = draw_mask(name, request)
    return MaskTable(tuple(tasks), layers, name, seed, keep_ratio)
