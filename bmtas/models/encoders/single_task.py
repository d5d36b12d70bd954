"""One whole encoder for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.encoders.base import Encoder, Features
from bmtas.registry import MODELS


@MODELS.register_module()
class SingleTaskEncoder(Encoder):
    """T whole encoders with their own stems: nothing is shared.

    Unlike ``BranchedEncoder(routes='separate')``, whose stem exists once.

    Args:
        backbone: Template or its config.
        tasks: Task names.
    """

    def __init__(self, backbone: LayeredBackbone | Mapping[str, Any], tasks: Sequence[str]) -> None:
        backbone = build_backbone(backbone)
        super().__init__(backbone, tasks)
        self.stems = nn.ModuleDict({task: backbone.copy_stem() for task in self.tasks})
        self.layers = nn.ModuleList(
            nn.ModuleDict({task: backbone.copy_layer(index) for task in self.tasks})
            for index in range(backbone.num_layers)
        )

    def forward(self, images: Tensor, tasks: Sequence[str]) -> Features:
        """Encode images (N, 3, H, W), each task by its own network."""
        self.task_indices(tasks)
        features = {}
        for task in tasks:
            x = low = self.stems[task](images)
            for index, layer in enumerate(self.layers):
                x = layer[task](x)
                if index == self.low_level_index:
                    low = x
            features[task] = (x, low)
        return features

    def sharing_counts(self) -> dict[str, int]:
        """One task each."""
        counts = {f'stems.{task}': 1 for task in self.tasks}
        for index in range(self.num_layers):
            counts.update({f'layers.{index}.{task}': 1 for task in self.tasks})
        return counts
