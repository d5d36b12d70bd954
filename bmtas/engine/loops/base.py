"""What search and training have in common: a run of numbered updates on position-addressed data."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from bmtas.datasets import PositionSampler
from bmtas.engine.dist import average_statistics, unwrap
from bmtas.engine.finite import GradientGuard, check_finite
from bmtas.engine.seeding import seed_update
from bmtas.engine.stop import DeafWorker, StopRequest, end_workers
from bmtas.typed import Count, Natural

VALIDATED = 'validated'
"""In the message hub: the last update that was validated."""


class UpdateLoop(BaseLoop):
    """Runs updates ``iter .. max_iters - 1``; each is a pure function of its index.

    The data loaders' samplers are set to the first position of the update that comes next, so a
    resumed run reads what the uninterrupted run would have read, without reading what was used up.
    The global random generators are seeded before each update.

    Args:
        runner: The runner.
        dataloader: Config of the training data loader; its sampler must be a PositionSampler.
        max_iters: Number of updates.
        val_interval: Updates between two validations, if the run has any; the last update is
            always followed by one.
        val_begin: First update after which to validate.

    Subclasses implement ``update``, ``batch_step`` and ``loader_of``.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | Mapping[str, Any],
        max_iters: Count,
        val_interval: Count = 1000,
        val_begin: Natural = 1,
    ) -> None:
        super().__init__(runner, dataloader)
        check_sampler(self.dataloader)
        self.dataloader.worker_init_fn = DeafWorker(self.dataloader.worker_init_fn)
        self._max_iters = int(max_iters)
        self._iter = 0
        self._epoch = 0
        self.val_interval = val_interval
        self.val_begin = val_begin
        # a checkpoint between two steps would lose the gradients added up so far
        self._step = accumulates(runner.optim_wrapper)
        self.stop_training = False  # set by mmengine's EarlyStoppingHook
        self._readers: dict[int, tuple[DataLoader, Iterator]] = {}
        if hasattr(self.dataloader.dataset, 'metainfo'):
            runner.visualizer.dataset_meta = dict(self.dataloader.dataset.metainfo)

    @staticmethod
    def averages_gradients(train_cfg: Mapping[str, Any]) -> bool:
        """Whether the loop itself averages gradients over processes: then no wrapper does."""
        return True

    @property
    def iter(self) -> int:
        """Index of the current update."""
        return self._iter

    @property
    def max_iters(self) -> int:
        """Number of updates."""
        return self._max_iters

    @property
    def epoch(self) -> int:
        """Always 0: mmengine takes a run of updates for one epoch."""
        return self._epoch

    @property
    def max_epochs(self) -> int:
        """Always 1."""
        return 1

    def loader_of(self, update: int) -> DataLoader:
        """The data loader that an update reads from."""
        return self.dataloader

    def batch_step(self, update: int) -> int:
        """Batches that earlier updates read from this update's data loader."""
        return update

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Do the update; returns values to log."""
        raise NotImplementedError

    def next_batch(self) -> Mapping[str, Any]:
        """The batch of the current update."""
        loader = self.loader_of(self._iter)
        if id(loader) not in self._readers:
            batch_size = loader.batch_size * get_world_size()
            loader.sampler.start = self.batch_step(self._iter) * batch_size
            self._readers[id(loader)] = loader, iter(loader)
        return next(self._readers[id(loader)][1])

    def run(self) -> Any:
        """Launch the run.

        Raises:
            SystemExit: A signal asked to stop; a checkpoint was written, the code is 128 and the
                number of the signal.
            ValueError: A loss, a gradient or a weight is not finite any more.
        """
        try:
            return self._run()
        finally:
            self._end_workers()

    def _run(self) -> Any:
        runner = self.runner
        guard = GradientGuard(runner.optim_wrapper)
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        with guard, StopRequest() as stop:
            # a run that was killed between a checkpoint and the validation after it
            self._validate()
            runner.model.train()
            while self._iter < self._max_iters and not self.stop_training:
                if not runner.model.training:  # going through all modules takes time
                    runner.model.train()
                self.run_update(self.next_batch(), guard)
                signum = stop.at(self._iter) if self._iter % self._step == 0 else 0
                if signum:
                    self._leave(signum)
                self._validate()
        check_finite(unwrap(runner.model), self._iter)
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _end_workers(self) -> None:
        for loader, _ in self._readers.values():
            end_workers(loader)
        self._readers.clear()

    def run_update(self, batch: Mapping[str, Any], guard: GradientGuard) -> None:
        """One update with the hooks around it."""
        index = self._iter
        hook_args = dict(batch_idx=index, data_batch=batch)
        seed_update(self.runner.seed, index, self.runner.rank)
        self.runner.call_hook('before_train_iter', **hook_args)
        outputs = self.update(batch)
        guard.check(outputs, index)
        if not self.runner.cfg.get('sync_bn'):
            average_statistics(self.runner.model)
        self.runner.call_hook('after_train_iter', **hook_args, outputs=outputs)
        self._iter += 1

    def _validate(self) -> None:
        """Validate if it is time and was not yet done for this update.

        A checkpoint knows which validation it has seen, so that a resumed run makes up for one that
        was cut off, and repeats none.
        """
        hub = self.runner.message_hub
        if self._validates() and hub.get_info(VALIDATED, 0) != self._iter:
            hub.update_info(VALIDATED, self._iter)
            hub.update_info('iter', self._iter - 1)  # what it is right after an update
            self.runner.val_loop.run()

    def _validates(self) -> bool:
        if self.runner.val_loop is None or self._iter < max(self.val_begin, 1):
            return False
        return self._iter % self.val_interval == 0 or self._iter == self._max_iters

    def _leave(self, signum: int) -> NoReturn:
        """Write a checkpoint and end the program."""
        runner = self.runner
        name = signal.Signals(signum).name
        hook = next((h for h in runner.hooks if isinstance(h, CheckpointHook)), None)
        saved = 'the config has no CheckpointHook, nothing was saved'
        if hook is not None:
            file = hook.filename_tmpl.format(self._iter)
            if Path(hook.last_ckpt or '').name != file:
                meta = dict(epoch=self._epoch, iter=self._iter)
                hook._save_checkpoint_with_step(runner, self._iter, meta=meta)
            saved = f'{file} is written; the same command with --resume goes on'
        if is_main_process():
            runner.logger.error(f'stopped by {name} after {self._iter} updates: {saved}')
        raise SystemExit(128 + signum)


def accumulates(wrapper: Any) -> int:
    """Updates whose gradients an optimizer wrapper, or its config, adds up before a step."""
    if isinstance(wrapper, Mapping):
        return wrapper.get('accumulative_counts', 1)
    return getattr(wrapper, '_accumulative_counts', 1)


def check_sampler(loader: DataLoader) -> None:
    """Refuse a loader whose order is not a function of position.

    Raises:
        ValueError: The sampler is of another type, or finite.
    """
    sampler = loader.sampler
    if not isinstance(sampler, PositionSampler) or sampler.epochs is not None:
        raise ValueError(
            "train_dataloader.sampler: must be dict(type='PositionSampler') without epochs, so "
            'that a run can be resumed exactly'
        )
