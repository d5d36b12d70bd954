"""Keep batch norm statistics clean while the architecture changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bmtas.engine.schedule import ALPHA, WEIGHTS
from bmtas.registry import HOOKS


def batch_norms(model: nn.Module) -> Iterator[_BatchNorm]:
    """All batch norms that have running statistics."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            yield module


@HOOKS.register_module()
class ResetBatchNormHook(Hook):
    """No running statistics while alpha moves; fresh ones before the weights train.

    In an alpha phase batch norm normalises by the batch and leaves its running statistics alone.
    Before the first update of each weight phase they are reset, as alpha has changed what flows
    through the network. Encoder and heads alike. The reset matters when the supergraph is
    validated: training never reads running statistics.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self) -> None:
        self._tracking: bool | None = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Switch the statistics on or off, and reset them at the start of a weight phase."""
        loop = runner.train_loop
        tracking = loop.schedule.phase(loop.iter) != ALPHA
        if tracking != self._tracking:
            self._track(runner.model, tracking)
        if loop.schedule.starts(loop.iter) == WEIGHTS:
            for module in batch_norms(runner.model):
                module.reset_running_stats()

    def after_train(self, runner: Any) -> None:
        """Leave the model as other code expects it."""
        self._track(runner.model, True)

    def _track(self, model: nn.Module, tracking: bool) -> None:
        for module in batch_norms(model):
            module.track_running_stats = tracking
        self._tracking = tracking
