"""The network of one task, or of some, cut out of a routed network exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.models.encoders import STEM, Encoder, Features, Part
from bmtas.registry import MODELS
from bmtas.task_routing.masking import plain_head
from bmtas.task_routing.routed import RoutedEncoder
from bmtas.task_routing.slicing import slice_module


@MODELS.register_module()
class CompactEncoder(Encoder):
    """The small network of one task, or the tree of small layers of several, cut out of a routed
    one.

    Args:
        tasks: Task names.
        backbone: Template of the routed network, or its config.
        masks: The masks of these tasks: a file, or its content.
        norm, first_layer: Of the routed network.
        fold: Whether batch norms are folded into the convolutions before them.
        routed: The routed network itself, with its weights, instead of the three before.

    Raises:
        ValueError: As ``RoutedEncoder``, and where the result would not be exact.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        backbone: LayeredBackbone | Mapping[str, Any] | None = None,
        masks: str | Mapping[str, Any] | None = None,
        norm: str | Mapping[str, Any] = 'per_task_stats',
        first_layer: int = 0,
        fold: bool = False,
        routed: RoutedEncoder | None = None,
    ) -> None:
        if routed is None:
            scheme = dict(name='file', masks=masks)
            routed = RoutedEncoder(backbone, tasks, 1.0, scheme, norm, first_layer)
        features = dict(deep_channels=routed.deep_channels, low_channels=routed.low_channels)
        super().__init__(tasks, **features, layer_names=routed.layer_names)
        self.low_level_index, self.plan = routed.low_level_index, routed.plan
        rows = routed.task_indices(self.tasks)
        self.masks = routed.masks.select(self.tasks)
        kept, self.nodes = self.plan.spread(self.masks), self.plan.nodes(self.masks)
        copies = []
        for part, (sites, nodes) in enumerate(zip(self.plan.sites, self.nodes)):
            made = {}
            for node in dict.fromkeys(nodes.tolist()):
                # statistics belong to the first task of all that share the prefix
                owner = int(routed.nodes[part][rows[node]])
                plain = routed.plain_part(part, owner)
                made[self._key(nodes, node)] = slice_module(plain, sites, kept[node], fold)
            copies.append(nn.ModuleDict(made))
        self.stems, self.layers = copies[0], nn.ModuleList(copies[1:])

    def _key(self, nodes: np.ndarray, node: int) -> str:
        """Name of a copy, whatever the order of the tasks: the first one's by the alphabet."""
        return min(task for task, other in zip(self.tasks, nodes) if other == node)

    def forward(self, images: Tensor, tasks: Sequence[str]) -> Features:
        """Encode images (N, 3, H, W); each layer runs once for the tasks that share it."""
        indices = self.task_indices(tasks)
        current = low = dict.fromkeys(indices, images)
        for part, (copies, nodes) in enumerate(zip([self.stems, *self.layers], self.nodes)):
            done: dict[int, Tensor] = {}
            for index in indices:
                node = int(nodes[index])
                if node not in done:
                    done[node] = copies[self._key(nodes, node)](current[index])
            current = {index: done[int(nodes[index])] for index in indices}
            low = current if part <= 1 + self.low_level_index else low
        return {task: (current[i], low[i]) for task, i in zip(tasks, indices)}

    def parts(self) -> list[Part]:
        """Every copy with the tasks that share it."""
        found = []
        for part, nodes in enumerate(self.nodes):
            layer = part - 1 if part else STEM
            prefix = f'layers.{layer}' if part else 'stems'
            for node in dict.fromkeys(nodes.tolist()):
                tasks = [task for task, other in zip(self.tasks, nodes) if other == node]
                found.append(self.part(f'{prefix}.{min(tasks)}', layer, tasks))
        return found

    def init_heads(self, heads: nn.ModuleDict) -> None:
        """Cut the heads along."""
        for task in self.tasks:
            heads[task] = self.slice_head(heads[task], task)

    def slice_head(self, head: nn.Module, task: str) -> nn.Module:
        """A copy of a head that reads the kept channels alone."""
        head = plain_head(head)
        sites = self.plan.head_sites(head)
        return slice_module(head, sites, self.plan.spread(self.masks)[self.tasks.index(task)])
