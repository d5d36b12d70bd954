"""The loops of a stage and of a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.runner import TestLoop

from bmtas.engine import position_seed, unwrap
from bmtas.engine.loops import PositionTrainLoop
from bmtas.registry import LOOPS
from bmtas.sharing.encoder import DeltaEncoder
from bmtas.sharing.meter import Meter

NOISE = 20
"""Purpose of a stage's random numbers, see ``bmtas.engine.seeding``."""


@LOOPS.register_module()
class SharingTrainLoop(PositionTrainLoop):
    """Trains a stage of a DeltaEncoder.

    The noise of the gates and the neighbour frame of an update are functions of (seed, update),
    the same on every rank. Arguments as in PositionTrainLoop.
    """

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One batch, one step."""
        seed = position_seed(self.runner.seed, NOISE, self._iter)
        unwrap(self.runner.model).encoder.generator_seed = seed
        return super().update(batch)


@LOOPS.register_module()
class SharingTestLoop(TestLoop):
    """A test in which a DeltaEncoder counts its work; arguments as in mmengine's TestLoop.

    Sets ``measured`` of the model: the meter of all processes and a normalised image.

    Raises:
        ValueError: Another encoder.
    """

    def __init__(self, runner: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(runner, *args, **kwargs)
        encoder = unwrap(runner.model).encoder
        if not isinstance(encoder, DeltaEncoder):
            raise ValueError(
                'test_cfg.type: SharingTestLoop counts the work of a DeltaEncoder, model.encoder '
                f'is a {type(encoder).__name__}; take TestLoop'
            )

    def run(self) -> dict[str, float]:
        """Launch the test."""
        model = unwrap(self.runner.model)
        if model.encoder.thresholds is not None:
            model.encoder.thresholds.check_network(model.network)
        model.encoder.meter = Meter()
        try:
            metrics = super().run()
        finally:
            meter, model.encoder.meter = model.encoder.meter, None
        whole = Meter()
        for own in all_gather_object(meter):
            whole.merge(own)
        batch = self.dataloader.collate_fn([self.dataloader.dataset[0]])
        model.measured = (whole, model.data_preprocessor(batch, False)['inputs'])
        return metrics
