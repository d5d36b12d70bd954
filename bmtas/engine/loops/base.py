"""What search and training have in common: a run of numbered updates on position-addressed data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.runner import BaseLoop
from torch.utils.data import DataLoader

from bmtas.datasets.samplers import PositionSampler
from bmtas.engine.seeding import seed_update
from bmtas.typed import Count, Natural


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
        self._max_iters = int(max_iters)
        self._iter = 0
        self._epoch = 0
        self.val_interval = val_interval
        self.val_begin = val_begin
        self.stop_training = False  # set by mmengine's EarlyStoppingHook
        self._iterators: dict[int, Iterator] = {}
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
        if id(loader) not in self._iterators:
            batch_size = loader.batch_size * get_world_size()
            loader.sampler.start = self.batch_step(self._iter) * batch_size
            self._iterators[id(loader)] = iter(loader)
        return next(self._iterators[id(loader)])

    def run(self) -> Any:
        """Launch the run."""
        self._iterators.clear()
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            batch = self.next_batch()
            self.run_update(batch)
            if self._validates():
                self.runner.val_loop.run()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        self._iterators.clear()
        return self.runner.model

    def run_update(self, batch: Mapping[str, Any]) -> None:
        """One update with the hooks around it."""
        index = self._iter
        hook_args = dict(batch_idx=index, data_batch=batch)
        seed_update(self.runner.seed, index, self.runner.rank)
        self.runner.call_hook('before_train_iter', **hook_args)
        outputs = self.update(batch)
        self.runner.call_hook('after_train_iter', **hook_args, outputs=outputs)
        self._iter += 1

    def _validates(self) -> bool:
        if self.runner.val_loop is None or self._iter < self.val_begin:
            return False
        return self._iter % self.val_interval == 0 or self._iter == self._max_iters


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
