"""Forget momentum that belongs to an earlier architecture."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from bmtas.engine.schedule import ALPHA, WEIGHTS
from bmtas.registry import HOOKS


@HOOKS.register_module()
class ResetOptimizerStateHook(Hook):
    """Clears an optimizer's state (momentum, moments, step counts) before its phase begins.

    Acts before the first update of a phase.

    Args:
        weights: Clear the state of the weights' optimizer before each weight phase.
        alpha: Clear the state of alpha's optimizer before each alpha phase, as the public code
            does: Adam's first step then has the size of the learning rate in every coordinate.
    """

    def __init__(self, weights: bool = True, alpha: bool = False) -> None:
        self.resets = {WEIGHTS: weights, ALPHA: alpha}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Clear the state if a phase begins."""
        phase = runner.train_loop.schedule.starts(runner.iter)
        if self.resets.get(phase):
            runner.optim_wrapper[phase].optimizer.state.clear()
