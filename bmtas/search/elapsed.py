"""Seconds of a training, those before an interruption included."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook


class ElapsedHook(Hook):
    """Counts the seconds of a training up to each checkpoint, and from there on when it resumes.

    What was done between the last checkpoint and an interruption is done again, and counts once.
    """

    def __init__(self) -> None:
        self._earlier = 0.0
        self._begin = time.perf_counter()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._earlier + time.perf_counter() - self._begin

    def before_train(self, runner: Any) -> None:
        """The clock starts."""
        self._begin = time.perf_counter()

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Keep the count with the weights."""
        checkpoint['elapsed'] = self.seconds

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Go on from where the weights are."""
        self._earlier = checkpoint.get('elapsed', 0.0)
