"""A network code as the encoder of a multi-task network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from bmtas.models.encoders import STEM, Encoder, Features, Part
from bmtas.registry import MODELS

from .network import FusedHead, MultiResolutionNetwork


@MODELS.register_module()
class MultiResolutionEncoder(Encoder):
    """All tasks share one multi-resolution network.

    The low-level feature is the first branch (stride 4), the deep feature all four branches fused
    at its resolution by the code's 1x1 layer: the network of the benchmark up to its classifier.

    Args:
        backbone: A MultiResolutionNetwork or its config.
        tasks: Task names.

    Attributes:
        code: The NetworkCode.
    """

    def __init__(
        self, backbone: MultiResolutionNetwork | Mapping[str, Any], tasks: Sequence[str]
    ) -> None:
        if not isinstance(backbone, nn.Module):
            backbone = MODELS.build(dict(backbone))
        layers = [
            f'stage{stage}.{entry}'
            for stage, (repeats, *_) in enumerate(backbone.code.stages(), start=1)
            for entry in range(repeats)
        ]
        channels = (backbone.code.last, backbone.out_channels[0])
        super().__init__(tasks, *channels, [*layers, 'fuse'])
        self.branches, self.code = backbone, backbone.code
        self.fuse = FusedHead(backbone.out_channels, backbone.code.last, level=0)

    def forward(self, images: Tensor, tasks: Sequence[str]) -> Features:
        """Encode images (N, 3, H, W): the same pair for every task."""
        self.task_indices(tasks)
        branches = self.branches(images)
        features = (self.fuse(branches), branches[0])
        return dict.fromkeys(tasks, features)

    def parts(self) -> list[Part]:
        """All tasks use everything; a layer is an entry of the body, or the fusion."""
        layers = [f'branches.body.{index}' for index in range(len(self.branches.body))]
        parts = enumerate(['branches.stem', *layers, 'fuse'], start=STEM)
        return [self.part(name, layer, self.tasks) for layer, name in parts]

    def checkpoint_state(self) -> dict[str, Any]:
        """The code: no other code's network has these weights."""
        return dict(backbone=dict(code=list(self.code)))
