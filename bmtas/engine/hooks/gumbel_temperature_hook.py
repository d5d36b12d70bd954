"""Anneal the Gumbel temperature."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from bmtas.registry import HOOKS


@HOOKS.register_module()
class GumbelTemperatureHook(Hook):
    """Lowers the temperature linearly over the updates after the warm-up.

    Acts before each update; the value is a function of the update's index alone. Logged as ``tau``.

    Args:
        start: Temperature of the first update after the warm-up.
        end: Temperature of the last update.
        by: 'update', or 'cycle' for one value per cycle of alpha and weight phase.

    Raises:
        ValueError: A temperature that is not positive, or an unknown ``by``.
    """

    def __init__(self, start: float = 5.0, end: float = 0.1, by: str = 'update') -> None:
        if min(start, end) <= 0:
            raise ValueError(
                f'GumbelTemperatureHook: start and end must be positive: {start}, {end}'
            )
        if by not in ('update', 'cycle'):
            raise ValueError(f"GumbelTemperatureHook.by: {by!r}, choose from 'update', 'cycle'")
        self.start = start
        self.end = end
        self.by = by

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the loop's temperature."""
        loop = runner.train_loop
        progress = loop.schedule.progress(loop.iter, self.by)
        loop.temperature = self.start + (self.end - self.start) * progress
        runner.message_hub.update_scalar('train/tau', loop.temperature)
