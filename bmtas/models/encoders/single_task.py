"""One whole encoder for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.encoders.base import STEM, Encoder, Features, Part, Work
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
        super().__init__(tasks, **backbone.features)
        self.low_level_index = backbone.low_level_index
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

    def work(self, tasks: Sequence[str]) -> Work:
        """The same for the same tasks."""
        return ()

    def parts(self) -> list[Part]:
        """Stem and layers, one task each."""
        stems = [self.part(f'stems.{task}', STEM, [task]) for task in self.tasks]
        return stems + [
            self.part(f'layers.{index}.{task}', index, [task])
            for index in range(self.num_layers)
            for task in self.tasks
        ]
