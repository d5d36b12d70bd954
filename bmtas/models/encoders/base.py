"""The one interface of every encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone

Features = dict[str, tuple[Tensor, Tensor]]
"""For each task name: the deep feature and the low-level feature, both (N, C, H, W)."""


class Encoder(nn.Module, ABC):
    """Images in, for each requested task a deep and a low-level feature out.

    Heads and losses do not know which encoder fed them; a new way of sharing is a new subclass.

    Args:
        backbone: The template whose stem and layers the encoder copies; it is not kept.
        tasks: Distinct task names, in order.

    Attributes:
        tasks: Task names.
        layer_names: L names of the layers.
        low_level_index: Layer whose output is the low-level feature.
        deep_channels, low_channels: Channels of the two features.

    Raises:
        ValueError: No task, or a name given twice.
    """

    def __init__(self, backbone: LayeredBackbone, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f'encoder: tasks must be distinct and not empty, got {self.tasks}')
        self.layer_names = tuple(backbone.layer_names)
        self.low_level_index = backbone.low_level_index
        self.deep_channels = backbone.out_channels[-1]
        self.low_channels = backbone.out_channels[self.low_level_index]

    @property
    def num_layers(self) -> int:
        """L, the context module included."""
        return len(self.layer_names)

    def task_indices(self, tasks: Sequence[str]) -> list[int]:
        """Positions of task names.

        Raises:
            ValueError: A name that the encoder does not know.
        """
        unknown = [task for task in tasks if task not in self.tasks]
        if unknown:
            raise ValueError(f'encoder: unknown task {unknown[0]!r}, there are {self.tasks}')
        return [self.tasks.index(task) for task in tasks]

    @abstractmethod
    def forward(self, images: Tensor, tasks: Sequence[str], **routing) -> Features:
        """Encode images (N, 3, H, W) for the named tasks, in their order."""

    @abstractmethod
    def sharing_counts(self) -> dict[str, int]:
        """Number of tasks that use each submodule, by its name inside the encoder."""
