"""The multi-task network of a network code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bmtas.models.multi_task_model import MultiTaskModel
from bmtas.registry import MODELS
from bmtas.structures import Task


@MODELS.register_module()
class NetworkCodeModel(MultiTaskModel):
    """A MultiTaskModel whose encoder is the network of a code.

    Args:
        tasks: The task table.
        backbone: Config of a MultiResolutionNetwork; its key ``code`` is what a search found.
        head, data_preprocessor, channels_last, init_cfg: As in MultiTaskModel.
    """

    def __init__(
        self,
        tasks: Sequence[Mapping[str, Any] | Task],
        backbone: Mapping[str, Any],
        head: Mapping[str, Any],
        data_preprocessor: Mapping[str, Any] | None = None,
        channels_last: bool = True,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        encoder = dict(type='MultiResolutionEncoder', backbone=backbone)
        super().__init__(tasks, encoder, head, data_preprocessor, channels_last, init_cfg)
