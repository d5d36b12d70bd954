"""The loop that trains a multi-task model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.data import DataLoader

from bmtas.engine.dist import unwrap
from bmtas.engine.loops.base import UpdateLoop
from bmtas.engine.updates import active_tasks, with_sum
from bmtas.registry import LOOPS


@LOOPS.register_module()
class PositionTrainLoop(UpdateLoop):
    """Trains a model for a number of updates.

    Args:
        runner, dataloader, max_iters, val_interval, val_begin: As in UpdateLoop.
        order: 'joint': one step on the sum of all tasks' losses, a task without a label in the
            batch contributes zero. 'sequential': one step per task and batch, in turn; a task
            without a label is skipped.

    Raises:
        ValueError: Unknown order.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | Mapping[str, Any],
        max_iters: int,
        val_interval: int = 1000,
        val_begin: int = 1,
        order: str = 'joint',
    ) -> None:
        if order not in ('joint', 'sequential'):
            raise ValueError(f"train_cfg.order: {order!r}, choose from 'joint', 'sequential'")
        super().__init__(runner, dataloader, max_iters, val_interval, val_begin)
        self.order = order

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One batch: one step, or one step per task."""
        if self.order == 'joint':
            return self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        model, wrapper = self.runner.model, self.runner.optim_wrapper
        core = unwrap(model)
        names = active_tasks(core.tasks, batch['data_samples'])
        data = core.data_preprocessor(batch, True)
        values = {}
        for name in names:
            with wrapper.optim_context(model):
                total, losses = core.parse_losses(model(**data, mode='loss', tasks=[name]))
            wrapper.update_params(total)
            values |= {key: loss.detach() for key, loss in losses.items() if key != 'loss'}
        return with_sum(values)
