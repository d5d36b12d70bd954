"""The training loop with the tasks' losses or gradients balanced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bmtas.engine.balancing import Balancer, BalancerStateHook
from bmtas.engine.balancing_methods import check_method
from bmtas.engine.dist import unwrap
from bmtas.engine.log_losses import LogLosses, on_log_scale
from bmtas.engine.loops.base import accumulates
from bmtas.engine.loops.train_loop import PositionTrainLoop
from bmtas.engine.seeding import Purpose, position_seed
from bmtas.engine.updates import active_tasks, reported
from bmtas.models import kept_buffers
from bmtas.registry import LOOPS
from bmtas.typed import Count, Natural


@LOOPS.register_module()
class BalancedTrainLoop(PositionTrainLoop):
    """Trains a model with one of torchjd's ways to balance tasks, one step per batch.

    The losses enter with the weights of the task table. Where the method's weights do not add up
    to T, the optimizer constructor's division of the learning rate by the number of sharing tasks
    is switched off: it compensates a sum.

    Args:
        runner, dataloader, max_iters, val_interval, val_begin: As in UpdateLoop.
        balancing: ``dict(method='UW')``: a method of torchjd and its arguments, see Balancer.
        log_losses: As in PositionTrainLoop, for methods that combine gradients.

    Raises:
        ValueError: Unknown method, or ``shared_lr=True`` or gradient accumulation asked for where
            it is wrong.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | Mapping[str, Any],
        max_iters: Count,
        balancing: Mapping[str, Any],
        val_interval: Count = 1000,
        val_begin: Natural = 1,
        log_losses: LogLosses = False,
    ) -> None:
        super().__init__(
            runner, dataloader, max_iters, val_interval, val_begin, log_losses=log_losses
        )
        model = unwrap(runner.model)
        device = next(model.parameters()).device
        self.balancer = Balancer(len(model.tasks), device=device, **balancing)
        runner.register_hook(BalancerStateHook(self.balancer))
        if self.balancer.is_aggregator and accumulates(runner.optim_wrapper) > 1:
            raise ValueError(
                f'optim_wrapper.accumulative_counts: must be 1 with {self.balancer.name}, which '
                'combines the gradients of one batch'
            )
        if self.balancer.is_aggregator and model.captured:
            raise ValueError(
                f'model.cuda_graphs: must be False with {self.balancer.name}, which takes a '
                'gradient of each task through one forward pass'
            )
        if self.elasticities is not None and not self.balancer.is_aggregator:
            raise ValueError(
                f'train_cfg.log_losses: {self.balancer.name} has a scale of losses of its own; '
                'only methods that combine gradients take their logs (PCGrad, MGDA, ...)'
            )
        if not self.balancer.is_sum_like:
            switch_off_shared_lr(runner, self.balancer.name)
        batch_size = self.dataloader.batch_size * get_world_size()
        self.updates_per_pass = max(1, len(self.dataloader.dataset) // batch_size)

    @staticmethod
    def check_config(arguments: Mapping[str, Any], path: str) -> None:
        """See that method and arguments exist, before anything is built."""
        balancing = arguments.get('balancing')
        if not balancing or 'method' not in balancing:
            raise ValueError(f"{path}.balancing: must be dict(method='UW') or the like")
        check_method(**balancing)

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One step on one batch."""
        model = self.runner.model
        core = unwrap(model)
        names = active_tasks(core.tasks, batch['data_samples'])
        device = self.balancer.last_losses.device
        present = torch.tensor([task.name in names for task in core.tasks], device=device)
        data = core.data_preprocessor(batch, True)
        if self.balancer.is_aggregator:
            losses, extra = self._aggregate(core, data, present)
        else:
            losses, extra = self._scalarize(model, data, present)
        self._finish(core, data, present)
        shown = {f'loss_{t.name}': x for t, x in zip(core.tasks, losses) if t.name in names}
        return reported(shown | {key: value.detach() for key, value in extra.items()})

    def _losses(self, model: Any, data: Mapping[str, Any]) -> tuple[list[Tensor], dict]:
        """The T weighted losses, and by name the encoder's own, which no method weighs."""
        with self.runner.optim_wrapper.optim_context(model):
            losses = dict(model(**data, mode='loss'))
        return [losses.pop(f'loss_{task.name}') for task in unwrap(model).tasks], losses

    def _scaled(self, losses: list[Tensor]) -> list[Tensor]:
        """The losses whose gradients are combined."""
        names = [f'loss_{task.name}' for task in unwrap(self.runner.model).tasks]
        return list(on_log_scale(dict(zip(names, losses)), self.elasticities).values())

    @contextmanager
    def _equal_draws(self) -> Iterator[None]:
        """What a method draws inside, on CPU and GPU, is the same on every rank."""
        with torch.random.fork_rng():
            torch.manual_seed(position_seed(self.runner.seed, Purpose.BALANCING, self._iter))
            yield

    def _scalarize(self, model: Any, data: Mapping, present: Tensor) -> tuple[Tensor, dict]:
        losses, extra = self._losses(model, data)
        losses = torch.stack(losses)
        with self._equal_draws():
            total = self.balancer.scalarize(losses, present)
        self.runner.optim_wrapper.update_params(total + sum(extra.values()))
        return losses.detach(), extra

    def _aggregate(self, core: Any, data: Mapping, present: Tensor) -> tuple[Tensor, dict]:
        # the model itself, not its distributed wrapper: the balancer exchanges the gradients
        losses, extra = self._losses(core, data)
        wrapper = self.runner.optim_wrapper
        wrapper.zero_grad()
        with self._equal_draws():
            self.balancer.aggregate(self._scaled(losses), present, core.parameters())
        if extra:
            add_gradient(sum(extra.values()), core.parameters())
        wrapper.step()
        wrapper.zero_grad()
        return torch.stack(losses).detach(), extra

    def _finish(self, core: Any, data: Mapping[str, Any], present: Tensor) -> None:
        def losses_again() -> Tensor:
            # losses are means over the global batch only where gradients are taken
            with kept_buffers(core), torch.set_grad_enabled(get_world_size() > 1):
                return torch.stack(self._losses(core, data)[0]).detach()

        self.balancer.step(losses_again, present)
        if (self._iter + 1) % self.updates_per_pass == 0:
            self.balancer.end_pass()


def add_gradient(loss: Tensor, parameters: Iterable[nn.Parameter]) -> None:
    """Add a loss's gradient, averaged over the processes, to what the parameters have."""
    parameters = [p for p in parameters if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients):
        if gradient is not None:
            all_reduce(gradient, 'mean')
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def switch_off_shared_lr(runner: Any, method: str) -> None:
    """Switch the lr rule by number of sharing tasks off in the optimizer that is built next.

    Raises:
        ValueError: The config asks for it.
    """
    cfg = runner.optim_wrapper
    if not isinstance(cfg, Mapping) or cfg.get('constructor') != 'SharedLRConstructor':
        return
    options = dict(cfg.get('paramwise_cfg') or {})
    if options.get('shared_lr'):
        raise ValueError(
            f'optim_wrapper.paramwise_cfg.shared_lr: must be False with {method}, whose gradient '
            'is no sum over tasks'
        )
    cfg['paramwise_cfg'] = dict(options, shared_lr=False)
    runner.logger.info(f'{method}: the learning rate is not divided by the number of sharing tasks')
