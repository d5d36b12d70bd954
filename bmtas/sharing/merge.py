"""One task's network without base and delta: an ordinary network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from bmtas.models.encoders import BranchedEncoder, Encoder
from bmtas.sharing.encoder import DeltaEncoder


class _Parts:
    """The stem and layers of a merged network, as a backbone that a BranchedEncoder copies."""

    def __init__(self, encoder: DeltaEncoder, state: Mapping[str, Any]) -> None:
        self.stem, self.layers = copy.deepcopy(encoder.stem), copy.deepcopy(encoder.layers)
        self.low_level_index = encoder.low_level_index
        self.features = dict(
            deep_channels=encoder.deep_channels,
            low_channels=encoder.low_channels,
            layer_names=encoder.layer_names,
        )
        for name, module in (('stem', self.stem), ('layers', self.layers)):
            own = {k[len(name) + 1 :]: v for k, v in state.items() if k.startswith(f'{name}.')}
            module.load_state_dict(own)

    def copy_stem(self) -> torch.nn.Module:
        return self.stem

    def copy_layer(self, index: int) -> torch.nn.Module:
        return self.layers[index]


def merged_state(encoder: DeltaEncoder, task: str) -> dict[str, torch.Tensor]:
    """Tensors of a task's network, base plus delta, by the base's names; ``stem.``, ``layers.``."""
    state = {k: v for k, v in encoder.state_dict().items() if k.startswith(('stem.', 'layers.'))}
    if task == encoder.base_task:
        return state
    with torch.no_grad():
        for place in encoder.places():
            if encoder.is_own(place):
                tensors = encoder.deltas[task].tensors(place.name, place.module)
                state.update({f'{place.name}.{k}': v.detach() for k, v in tensors.items()})
    return state


def merged_encoder(encoder: DeltaEncoder, task: str) -> Encoder:
    """An ordinary encoder of one task.

    Raises:
        ValueError: The encoder does not know the task.
    """
    encoder.task_indices([task])
    return BranchedEncoder(_Parts(encoder, merged_state(encoder, task)), [task], 'shared')
