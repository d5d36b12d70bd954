"""What changes on schedule during a search: temperature, batch norm statistics, optimizer state.

The strategy registers these hooks itself; each is also a component of the registry HOOKS. They ask
the loop only for what ``SearchState`` offers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bmtas.engine import unwrap
from bmtas.registry import HOOKS
from bmtas.search.gradient.decoding import sharing_probability
from bmtas.search.gradient.resource_loss import ResourceTerm
from bmtas.search.gradient.schedule import ALPHA, WEIGHTS, SearchSchedule
from bmtas.typed import Fraction, Positive


@runtime_checkable
class SearchState(Protocol):
    """What a loop that searches offers to hooks.

    Attributes:
        iter: Index of the current update.
        schedule: Phase and progress of every update.
        temperature: Of the Gumbel noise; hooks may set it.
        resource: The resource term; its ``table`` holds the costs.
        memory: What a resumed search must know of its past beyond weights and optimizers.
    """

    iter: int
    schedule: SearchSchedule
    temperature: float
    resource: ResourceTerm
    memory: dict[str, Tensor]


def search_state(runner: Any) -> SearchState:
    """The loop of a runner that searches.

    Raises:
        ValueError: The run is no search, a hook of a search has no place in it.
    """
    loop = runner.train_loop
    if not isinstance(loop, SearchState):
        raise ValueError(
            f'custom_hooks: a hook of a search needs BranchingSearchLoop, not {type(loop).__name__}'
        )
    return loop


@HOOKS.register_module()
class GumbelTemperatureHook(Hook):
    """Lowers the temperature linearly over the updates after the warm-up.

    Acts before each update; the value is a function of the update's index alone. Logged as ``tau``.

    Args:
        start: Temperature of the first update after the warm-up.
        end: Temperature of the last update.
        by: 'update', or 'cycle' for one value per cycle of alpha and weight phase.
    """

    def __init__(
        self,
        start: Positive = 5.0,
        end: Positive = 0.1,
        by: Literal['update', 'cycle'] = 'update',
    ) -> None:
        self.start, self.end, self.by = start, end, by

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the loop's temperature."""
        loop = search_state(runner)
        progress = loop.schedule.progress(loop.iter, self.by)
        loop.temperature = self.start + (self.end - self.start) * progress
        runner.message_hub.update_scalar('train/tau', loop.temperature)


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
        loop = search_state(runner)
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
        loop = search_state(runner)
        phase = loop.schedule.starts(loop.iter)
        if self.resets.get(phase):
            runner.optim_wrapper[phase].optimizer.state.clear()


@HOOKS.register_module()
class MemoryHook(Hook):
    """Keeps the loop's memory in checkpoints, and in it the mean of who shares what.

    Acts after each alpha update of the last part of the search, and around checkpoints.

    Args:
        average: Part of the search, at its end, over whose alpha updates the probabilities that
            two tasks share a layer are averaged; 0 takes the last alpha alone.
    """

    def __init__(self, average: Fraction = 1 / 3) -> None:
        self.average = average

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Add the state after an alpha update."""
        loop = search_state(runner)
        late = loop.schedule.progress(loop.iter) >= 1 - self.average
        if not late or loop.schedule.phase(loop.iter) != ALPHA or not self.average:
            return
        shared = sharing_probability(unwrap(runner.model).encoder.alpha).cpu()
        memory = loop.memory
        memory['shared'] = memory.get('shared', torch.zeros_like(shared)) + shared
        memory['shared_updates'] = memory.get('shared_updates', torch.zeros(())) + 1

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add the memory."""
        checkpoint['search'] = dict(search_state(runner).memory)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Take it back."""
        search_state(runner).memory.update(checkpoint.get('search') or {})


def mean_sharing(loop: SearchState, model: nn.Module) -> Tensor:
    """(L, T, T) probability that two tasks share a layer: the mean of ``MemoryHook``, else now."""
    if 'shared' in loop.memory:
        return loop.memory['shared'] / loop.memory['shared_updates']
    return sharing_probability(unwrap(model).encoder.alpha).cpu()
