"""The loop that trains a multi-task model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch.utils.data import DataLoader

from bmtas.engine.dist import unwrap
from bmtas.engine.log_losses import LogLosses, elasticities_of
from bmtas.engine.loops.base import UpdateLoop, accumulates
from bmtas.engine.updates import active_tasks, reported, step_weights, summed_losses
from bmtas.registry import LOOPS
from bmtas.typed import Count, Natural


@LOOPS.register_module()
class PositionTrainLoop(UpdateLoop):
    """Trains a model for a number of updates.

    Args:
        runner, dataloader, max_iters, val_interval, val_begin: As in UpdateLoop.
        order: 'joint': one step on the sum of all tasks' losses, a task without a label in the
            batch contributes zero. 'sequential': one step per task and batch, in turn; a task
            without a label is skipped.
        log_losses: Minimise the sum of kappa_t log L_t: True, or kappa by task, see
            ``bmtas.engine.log_losses``.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | Mapping[str, Any],
        max_iters: Count,
        val_interval: Count = 1000,
        val_begin: Natural = 1,
        order: Literal['joint', 'sequential'] = 'joint',
        log_losses: LogLosses = False,
    ) -> None:
        super().__init__(runner, dataloader, max_iters, val_interval, val_begin)
        self.order = order
        if order == 'sequential' and accumulates(runner.optim_wrapper) > 1:
            raise ValueError(
                "optim_wrapper.accumulative_counts: must be 1 with train_cfg.order='sequential', "
                'which steps once for each task'
            )
        plain = log_losses is False
        names = [] if plain else [task.name for task in unwrap(runner.model).tasks]
        self.elasticities = elasticities_of(log_losses, names, 'train_cfg.log_losses')

    @staticmethod
    def averages_gradients(train_cfg: Mapping[str, Any]) -> bool:
        """Whether the loop itself averages gradients over processes: then no wrapper does."""
        return train_cfg.get('order', 'joint') == 'sequential'

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One batch: one step, or one step per task."""
        model, wrapper = self.runner.model, self.runner.optim_wrapper
        if self.order == 'joint':
            with wrapper.optim_context(model):
                data = unwrap(model).data_preprocessor(batch, True)
                total, values = summed_losses(model, data, self.elasticities)
            wrapper.update_params(total)
            return reported(values)
        names = active_tasks(model.tasks, batch['data_samples'])
        data = model.data_preprocessor(batch, True)
        values = {}
        for name in names:
            wrapper.zero_grad(set_to_none=True)
            values |= step_weights(model, wrapper, data, [name], self.elasticities)
        return reported(values)
