"""The training loop of many tasks: which tasks a batch is run for."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor
from torch.utils.data import DataLoader

from bmtas.engine import (
    active_tasks,
    average_gradients,
    is_labelled,
    position_rng,
    reported,
    unwrap,
)
from bmtas.engine.loops import PositionTrainLoop, accumulates
from bmtas.registry import LOOPS
from bmtas.task_routing.routed import RoutedEncoder
from bmtas.tasks import MultiTaskSample, Task, TaskMaps

DRAWS = 71
"""Purpose of the random numbers, see ``bmtas.engine.seeding``."""


@LOOPS.register_module()
class TaskSamplingLoop(PositionTrainLoop):
    """Trains some of the tasks on each batch, drawn anew in every update; one step a batch.

    What is drawn is a function of (seed, update, position in the batch of all processes), so one
    process and two draw the same. Tasks without a label are not drawn.

    Args:
        runner, dataloader, max_iters, val_interval, val_begin: As in UpdateLoop.
        tasks_per_step: Number of tasks for each batch, 'all' for all that are labelled.
        draw: 'batch': the tasks are run on the whole batch; with one task a step this is the
            published rule (Strezoski et al., ICCV 2019). 'sample': every image is run for one task
            of its own; ``loss_<task>`` is the task's part of the mean over images.

    Raises:
        ValueError: An option that does not fit, or 'sample' with an encoder that takes no task ids.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | Mapping[str, Any],
        max_iters: int,
        val_interval: int = 1000,
        val_begin: int = 1,
        tasks_per_step: int | Literal['all'] = 1,
        draw: Literal['batch', 'sample'] = 'batch',
    ) -> None:
        super().__init__(runner, dataloader, max_iters, val_interval, val_begin)
        if draw not in ('batch', 'sample'):
            raise ValueError(f"train_cfg.draw: {draw!r}, choose from 'batch', 'sample'")
        if tasks_per_step != 'all' and (
            isinstance(tasks_per_step, str) or not 1 <= tasks_per_step <= self._num_tasks
        ):
            raise ValueError(
                f'train_cfg.tasks_per_step: must be 1 ... {self._num_tasks} or '
                f"'all', got {tasks_per_step!r}"
            )
        if draw == 'sample' and tasks_per_step != 1:
            raise ValueError("train_cfg.tasks_per_step: must be 1 with draw='sample'")
        if accumulates(runner.optim_wrapper) > 1:
            raise ValueError(
                'optim_wrapper.accumulative_counts: must be 1 with TaskSamplingLoop, which steps '
                'on every batch'
            )
        self.tasks_per_step, self.draw = tasks_per_step, draw
        self._check_encoder()

    @property
    def _num_tasks(self) -> int:
        return len(unwrap(self.runner.model).tasks)

    def _check_encoder(self) -> None:
        encoder = unwrap(self.runner.model).encoder
        if self.draw == 'sample' and not takes_rows(encoder):
            raise ValueError(
                f"train_cfg.draw: 'sample' needs an encoder that takes task ids, "
                f"{type(encoder).__name__} does not; take RoutedEncoder or draw='batch'"
            )
        if not isinstance(encoder, RoutedEncoder):
            return
        norm, routed = encoder.norm['name'], any(not m.all() for m in encoder.masks.layers.values())
        if self.draw == 'sample' and norm in ('per_task', 'per_task_stats'):
            raise ValueError(
                f"model.encoder.norm: {norm!r} needs batches of one task; take 'shared' with "
                "draw='sample', or draw='batch'"
            )
        if self.draw == 'batch' and norm == 'shared' and routed and self.tasks_per_step != 'all':
            self.runner.logger.warning(
                "model.encoder.norm='shared' with draw='batch': statistics pooled over the tasks "
                'fit none of them, scores can end below the majority class; take '
                "norm='per_task_stats' or draw='sample'"
            )

    @staticmethod
    def averages_gradients(train_cfg: Mapping[str, Any]) -> bool:
        """The loop does, since parameters take part only now and then."""
        return True

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One step on one batch."""
        model, wrapper = unwrap(self.runner.model), self.runner.optim_wrapper
        rng = position_rng(self.runner.seed, DRAWS, self._iter)
        samples = batch['data_samples']
        if self.draw == 'batch':
            names, routing = self._draw_tasks(active_tasks(model.tasks, samples), rng), {}
            shares: dict[str, float] = {}
        else:
            rows, shares = self._draw_rows(model, labelled_tasks(model.tasks, samples), rng)
            names, routing = list(rows), dict(rows=rows)
        if not names:
            return {}
        drawn = {task.label for task in model.select(names)}
        # labels of the other tasks are neither checked nor moved: with many tasks they take longer
        samples = [_with_labels(sample, drawn) for sample in samples]
        data = model.data_preprocessor(dict(batch, data_samples=samples), True)
        wrapper.zero_grad(set_to_none=True)
        with wrapper.optim_context(model):
            losses = model(**data, mode='loss', tasks=names, **routing)
        losses = {
            key: value * shares.get(key.removeprefix('loss_'), 1.0) for key, value in losses.items()
        }
        wrapper.backward(sum(losses.values()))
        average_gradients(p for group in wrapper.optimizer.param_groups for p in group['params'])
        wrapper.step()
        return reported({key: value.detach() for key, value in losses.items()})

    def _draw_tasks(self, known: list[str], rng: np.random.Generator) -> list[str]:
        if self.tasks_per_step == 'all' or self.tasks_per_step >= len(known):
            return known
        drawn = rng.choice(len(known), self.tasks_per_step, replace=False)
        return [known[index] for index in np.sort(drawn)]

    def _draw_rows(
        self, model: Any, labelled: Tensor, rng: np.random.Generator
    ) -> tuple[dict[str, list[int]], dict[str, float]]:
        """Images of each task that is drawn anywhere, and its share of all images."""
        world, rank = get_world_size(), self.runner.rank
        draws = rng.random(len(labelled) * world)[rank::world]
        chosen = [_chosen(row.nonzero()[:, 0].tolist(), u) for row, u in zip(labelled, draws)]
        rows = {index: [] for index in range(len(model.tasks))}
        for image, index in enumerate(chosen):
            if index is not None:
                rows[index].append(image)
        sums = torch.tensor([float(len(found)) for found in rows.values()])
        all_reduce(sums)
        counts = sums.tolist()
        drawn = {model.tasks[index].name: rows[index] for index in rows if counts[index]}
        total = max(1.0, sum(counts))
        return drawn, {t.name: n / total for t, n in zip(model.tasks, counts) if n}


def takes_rows(encoder: Any) -> bool:
    """Whether an encoder can run each image for a task of its own."""
    return 'rows' in inspect.signature(encoder.forward).parameters


def labelled_tasks(tasks: Sequence[Task], samples: Sequence[MultiTaskSample]) -> Tensor:
    """Which tasks are labelled for which images: bool (N, T)."""
    columns = []
    for task in tasks:
        labels = [sample.labels.get(task.label) for sample in samples]
        if task.kind.dense or any(label is None for label in labels):
            columns.append(torch.tensor([is_labelled(task, sample) for sample in samples]))
        else:  # many tasks: one call for all images
            columns.append(task.kind.labelled(torch.stack(labels)))
    return torch.stack(columns, 1)


def _with_labels(sample: MultiTaskSample, labels: Collection[str]) -> MultiTaskSample:
    """A sample that has some of the labels alone."""
    sample = copy.copy(sample)
    sample.labels = TaskMaps(
        {name: sample.labels[name] for name in labels if name in sample.labels}
    )
    return sample


def _chosen(known: list[int], draw: float) -> int | None:
    return known[int(draw * len(known))] if known else None
