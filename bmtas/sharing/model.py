"""The multi-task model of a DeltaEncoder, for what its results say besides the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from torch import Tensor

from bmtas.engine import results_of
from bmtas.models import MultiTaskModel
from bmtas.registry import MODELS
from bmtas.sharing.accounting import clip_report, report
from bmtas.sharing.delta_file import base_hash
from bmtas.sharing.meter import Meter


@MODELS.register_module()
class SharingModel(MultiTaskModel):
    """A MultiTaskModel whose encoder is a DeltaEncoder; arguments as there.

    Attributes:
        measured: What the last test counted, and an image; set by the loop of the test.
        clips: Scores of key frames and others and the meters of a clip's frames, if it had clips.
    """

    measured: tuple[Meter, Tensor] | None = None
    clips: tuple[dict[str, dict], list[Meter]] | None = None

    @property
    def network(self) -> str:
        """Hash of base and deltas; thresholds are made for one network."""
        state = {k: v for k, v in self.state_dict().items() if k.startswith('encoder.')}
        renamed = {
            k.replace('encoder.deltas', 'encoder.layers.deltas'): v for k, v in state.items()
        }
        return base_hash(renamed)


@results_of.register
def _(model: SharingModel, metrics: Mapping[str, Any], cfg: Config) -> dict[str, Any]:
    results = results_of.dispatch(MultiTaskModel)(model, metrics, cfg)
    if model.measured is not None:
        results |= report(model, model.measured[0], cfg.input_size, model.measured[1])
    if model.clips is not None:
        results['clips'] = clip_report(model, *model.clips, cfg.input_size)
    return results
