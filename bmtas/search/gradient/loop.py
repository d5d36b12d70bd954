"""The loop that searches a branching tree by gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_world_size
from torch import Tensor
from torch.utils.data import DataLoader

from bmtas.datasets import PositionSampler
from bmtas.engine import (
    LogLosses,
    Purpose,
    SmoothedLogs,
    elasticities_of,
    gumbel_generator,
    position_rng,
    position_seed,
)
from bmtas.engine.loops import UpdateLoop
from bmtas.registry import LOOPS
from bmtas.resources import ResourceTable
from bmtas.search.gradient.followed_budget import FollowedBudget
from bmtas.search.gradient.resource_loss import ResourceLoss, ResourceTerm
from bmtas.search.gradient.schedule import ALPHA, WARMUP, WEIGHTS, SearchSchedule
from bmtas.search.gradient.updates import alpha_update, warmup_update, weight_update


def split_indices(num_images: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split a data set for the search; a function of the arguments.

    Returns:
        Sorted indices of the alpha split and of the weight split, disjoint, neither empty.

    Raises:
        ValueError: Fewer than two images.
    """
    if num_images < 2:
        raise ValueError(f'train_dataloader: {num_images} images, a search needs at least 2')
    count = min(max(round(num_images * fraction), 1), num_images - 1)
    order = position_rng(seed, Purpose.SPLIT).permutation(num_images)
    return np.sort(order[:count]), np.sort(order[count:])


@LOOPS.register_module()
class BranchingSearchLoop(UpdateLoop):
    """Warm-up, then cycles of alpha updates and weight updates on disjoint parts of the data.

    Warm-up: each candidate is trained on its own task, only that candidate is run. Alpha phase:
    alpha moves, the weights are frozen. Weight phase: the weights move, the candidates mixed by
    fresh Gumbel noise in every update. One update reads one batch. Phase, split, noise and
    temperature of an update are functions of its index.

    Args:
        runner: The runner.
        dataloader: Config of the training data loader; both parts of the data are read through it.
        warmup_updates: Updates of the warm-up.
        weight_updates: Weight updates after it.
        alpha_fraction: Part of the images that alpha is trained on.
        alpha_phase, weight_phase: Updates of a phase; by default one pass over its part of the
            data.
        joint: In a weight update one step on the sum of the losses instead of one per task in turn.
        hard: Mix by straight-through samples: each task runs one candidate per layer. True in all
            updates, 'weights' in weight updates only. Prefer 'weights': a candidate that does not
            run gives alpha no gradient, and the scale of the one that runs is undone by the batch
            norm of the layer after it, so that with True the tasks' losses cannot move alpha in
            layers that no identity connection bridges; there only the resource term does.
        skip_below: Soft mixing weights below it become zero and their candidates do not run;
            ``skipped`` in the log is the share of (task, layer, candidate) without a run.
        top_k: Only so many candidates of a layer, those with the largest weights, run for a task
            in a soft update; at least two, as in Cai et al., "ProxylessNAS", ICLR 2019, Sec. 3.2.
        alpha_init_std: Standard deviation of alpha at the start. At alpha = 0 the gradient of the
            resource term is exactly zero, so a little noise lets it act from the first update.
        resource_loss: Arguments of ResourceLoss.
        log_losses: Put the tasks' losses on one scale: alpha minimises the sum of kappa_t log L_t
            (averages over about ten updates) and the resource term; True, or kappa by task. Joint
            weight updates too.
        table: The resource table.
        budget: Of the whole network in the table's unit, for a lambda that follows it.
        val_interval, val_begin: As in UpdateLoop; the argmax of alpha is validated.

    ``temperature`` is the Gumbel temperature; GumbelTemperatureHook sets it.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Mapping[str, Any],
        warmup_updates: int,
        weight_updates: int,
        table: ResourceTable,
        alpha_fraction: float = 0.2,
        alpha_phase: int | None = None,
        weight_phase: int | None = None,
        joint: bool = False,
        hard: bool | str = False,
        skip_below: float = 0.0,
        top_k: int | None = None,
        alpha_init_std: float = 1e-3,
        resource_loss: Mapping[str, Any] | None = None,
        log_losses: LogLosses = False,
        val_interval: int = 1000,
        val_begin: int = 1,
        budget: float | None = None,
    ) -> None:
        super().__init__(runner, dataloader, 0, val_interval, val_begin)
        whole = self.dataloader
        parts = split_indices(len(whole.dataset), alpha_fraction, runner.seed)
        self.loaders = {
            ALPHA: _part(whole, parts[0], runner.seed, 1),
            WEIGHTS: _part(whole, parts[1], runner.seed, 2),
        }
        self.dataloader = self.loaders[WEIGHTS]
        batch_size = whole.batch_size * get_world_size()
        passes = [max(len(part) // batch_size, 1) for part in parts]
        self.schedule = SearchSchedule(
            warmup_updates, weight_updates, alpha_phase or passes[0], weight_phase or passes[1]
        )
        self._max_iters = self.schedule.total
        self.joint = joint
        self.hard = hard
        candidates = runner.model.encoder.alpha.shape[-1]
        if not 0 <= skip_below < 1 / candidates:
            raise ValueError(
                f'search.skip_below: {skip_below} must lie between 0 and 1 / {candidates} '
                'candidates'
            )
        if top_k is not None and not 2 <= top_k <= candidates:
            raise ValueError(
                f'search.top_k: {top_k} must be at least 2 and at most {candidates}, '
                'the number of candidates'
            )
        if hard is True and (skip_below or top_k):
            name = 'top_k' if top_k else 'skip_below'
            raise ValueError(
                f"search.{name}: is for soft updates, search.hard=True has none; 'weights' has"
            )
        self.skip_below, self.top_k = skip_below, top_k
        self.temperature = 1.0
        self.memory: dict[str, torch.Tensor] = {}
        layers = len(runner.model.encoder.alpha)
        if table.num_layers != layers:
            raise ValueError(
                f'search: the resource table has {table.num_layers} layers, the encoder {layers}'
            )
        names = [task.name for task in runner.model.tasks]
        self.elasticities = elasticities_of(log_losses, names, 'search.log_losses')
        self.logs = None
        if self.elasticities is not None:
            self.logs = SmoothedLogs(names, self.elasticities, self.memory)
        self.resource = ResourceTerm(table, ResourceLoss(**(resource_loss or {})))
        self.followed = None
        if self.resource.loss.follow:
            if budget is None:
                raise ValueError(
                    'search.resource_loss.follow: there is no budget that lambda could follow; '
                    'give --budget'
                )
            updates = self.schedule.alpha_updates(self.schedule.total)
            self.followed = FollowedBudget(self.resource, budget, updates, self.memory)
        self._init_alpha(alpha_init_std)
        self._announce()

    def _init_alpha(self, std: float) -> None:
        alpha = self.runner.model.encoder.alpha
        generator = torch.Generator().manual_seed(position_seed(self.runner.seed, Purpose.ALPHA))
        noise = torch.randn(alpha.shape, generator=generator) * std
        with torch.no_grad():
            alpha.copy_(noise)

    def _announce(self) -> None:
        term, schedule = self.resource, self.schedule
        tasks = len(self.runner.model.tasks)
        given = dict(gflops='GFLOP', shared='cost of the shared network')
        given = given.get(term.loss.unit, term.unit_name)
        self.runner.logger.info(
            f'search: {schedule.warmup_updates} warm-up updates, then cycles of '
            f'{schedule.alpha_phase} alpha and {schedule.weight_phase} weight updates, '
            f'{schedule.total} updates in all'
        )
        self.runner.logger.info(
            f'resource term: lambda = {term.loss.weight:g} per {given}'
            f'{", follows the budget" if self.followed else ""}'
            f'{" and task" if term.loss.per_task else ""}, mode {term.loss.mode}, in effect '
            f'{term.factor(tasks):g} per {term.unit_name} ({term.table.convention} convention, '
            f'input {tuple(term.table.input_size)})'
        )

    def loader_of(self, update: int) -> DataLoader:
        """The alpha split for alpha updates, the weight split for all others."""
        return self.loaders[ALPHA if self.schedule.phase(update) == ALPHA else WEIGHTS]

    def batch_step(self, update: int) -> int:
        """Batches read from the update's own split before it."""
        return self.schedule.split_step(update)

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One warm-up, alpha or weight update."""
        model, optimizers = self.runner.model, self.runner.optim_wrapper
        phase = self.schedule.phase(self._iter)
        if phase == WARMUP:
            return warmup_update(model, batch, optimizers, self.joint, self.elasticities)
        device = model.encoder.alpha.device
        generator = gumbel_generator(self.runner.seed, self._iter, device)
        if phase == ALPHA:
            weights = self._sample(generator, self.hard is True)
            resource, report = self.resource, self._skipped(weights)
            if self.followed is not None:
                resource = self.followed.step(model.encoder.alpha, generator)
                report['lambda'] = torch.tensor(resource.loss.weight)
            return report | alpha_update(
                model, batch, optimizers, weights, resource, generator, self.logs
            )
        with torch.no_grad():
            weights = self._sample(generator, bool(self.hard))
        return self._skipped(weights) | weight_update(
            model, batch, optimizers, weights, self.joint, self.elasticities
        )

    def _sample(self, generator: torch.Generator, hard: bool) -> Tensor:
        encoder = self.runner.model.encoder
        floor, top_k = self.skip_below, self.top_k
        return encoder.sample_weights(self.temperature, generator, hard, floor, top_k)

    def _skipped(self, weights: Tensor) -> dict[str, Tensor]:
        """To be logged, where some are to be skipped: the share of candidates that do not run."""
        wanted = self.skip_below or self.top_k
        return dict(skipped=(weights == 0).float().mean()) if wanted else {}


def _part(loader: DataLoader, indices: Sequence[int], seed: int, stream: int) -> DataLoader:
    """A loader like another one, for a part of its data set."""
    sampler = PositionSampler(loader.dataset, seed, indices, loader.sampler.shuffle, stream=stream)
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        sampler=sampler,
        drop_last=loader.drop_last,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )
