"""T whole networks that exchange features at a few places; base of Cross-Stitch and NDDR-CNN."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.encoders.base import Features, Part
from bmtas.models.encoders.single_task import SingleTaskEncoder
from bmtas.sealed import load_state


class StitchedEncoder(SingleTaskEncoder):
    """Single-task networks in step, with a unit after the stem and after each stage.

    The context module, (R-)ASPP, has no unit behind it. The low-level feature is read behind the
    unit of its stage.

    Args:
        backbone: Template or its config.
        tasks: Task names.
        init_from: Checkpoint (or list of checkpoints) of trained single-task networks, with a
            ``SingleTaskEncoder``, from which encoder and heads start. None starts from the
            backbone's weights; it must be said explicitly, since the method starts from trained
            networks.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: The checkpoint lacks a network of one of the tasks.
    """

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        init_from: str | Sequence[str] | None,
    ) -> None:
        if init_from is not None and isinstance(backbone, Mapping):
            # every weight comes from the trained networks
            backbone = {**backbone, 'weights': None}
        backbone = build_backbone(backbone)
        super().__init__(backbone, tasks)
        if self.low_level_index not in backbone.stage_ends:
            raise ValueError(
                f'encoder: the low-level feature must be the end of a stage, layer '
                f'{self.low_level_index} is not among {backbone.stage_ends}'
            )
        # the unit behind each layer; -1 stands for the stem
        self._places = [-1, *backbone.stage_ends]
        channels = [backbone.stem_channels, *(backbone.out_channels[e] for e in self._places[1:])]
        self.units = nn.ModuleList(self.make_unit(width) for width in channels)
        self.init_from = [init_from] if isinstance(init_from, str) else init_from
        if self.init_from is not None:
            self._load(self, 'encoder.', skip='units.')

    @abstractmethod
    def make_unit(self, channels: int) -> nn.Module:
        """A module that takes T features (N, C, H, W) and returns as many."""

    def init_heads(self, heads: nn.ModuleDict) -> None:
        """Start the heads from the trained networks, too; called by the model."""
        if self.init_from is not None:
            self._load(heads, 'heads.')

    def _load(self, module: nn.Module, prefix: str, skip: str | None = None) -> None:
        state = {}
        for path in self.init_from:
            state.update(_state_of(path, prefix))
        own = [key for key in module.state_dict() if skip is None or not key.startswith(skip)]
        missing = [key for key in own if key not in state]
        if missing:
            raise ValueError(
                f'model.encoder.init_from: {", ".join(map(str, self.init_from))} has no weights '
                f'{prefix}{missing[0]} (and {len(missing) - 1} more); it must be a checkpoint of '
                f'the single-task networks of {", ".join(self.tasks)}'
            )
        try:
            module.load_state_dict({key: state[key] for key in own}, strict=False)
        except RuntimeError as error:
            reason = str(error).strip().split('\n')[-1].strip()
            raise ValueError(
                f'model.encoder.init_from: {", ".join(map(str, self.init_from))} does not fit: '
                f'{reason}'
            ) from None

    def forward(self, images: Tensor, tasks: Sequence[str]) -> Features:
        """Encode images (N, 3, H, W); all networks run up to the last unit."""
        self.task_indices(tasks)
        names = self.tasks
        x = dict(zip(names, self.units[0]([self.stems[task](images) for task in names])))
        unit_after = dict(zip(self._places[1:], self.units[1:]))
        low = x
        for index, layer in enumerate(self.layers):
            names = self.tasks if index <= self._places[-1] else tasks
            x = {task: layer[task](x[task]) for task in names}
            if index in unit_after:
                x = dict(zip(names, unit_after[index](list(x.values()))))
            if index == self.low_level_index:
                low = x
        return {task: (x[task], low[task]) for task in tasks}

    def parts(self) -> list[Part]:
        """One task each; the units join the tasks, and nobody shares them."""
        units = [self.part(f'units.{index}', None) for index in range(len(self.units))]
        return [*super().parts(), *units]


def _state_of(path: str, prefix: str) -> dict[str, Tensor]:
    """Weights of a checkpoint whose names begin with ``prefix``, which is cut off."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'model.encoder.init_from: checkpoint {path} not found; train the single-task networks '
            'first (configs/single), or set it to None to start from the backbone'
        )
    checkpoint = load_state(path, what='model.encoder.init_from:')
    state = checkpoint.get('state_dict', checkpoint)
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
