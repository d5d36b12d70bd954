"""A sampler whose order is a pure function of (seed, start)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.dist import get_dist_info
from torch.utils.data import Dataset, Sampler

from bmtas.registry import DATA_SAMPLERS

_SHUFFLE = 1


@DATA_SAMPLERS.register_module()
class PositionSampler(Sampler[int]):
    """Yields positions ``epoch * len(dataset) + index`` for ever, or for some epochs.

    Epoch ``e`` visits the permutation drawn from (seed, e). The ranks take turns, so that the
    batches of all ranks together are what one process with the whole batch would read.

    Args:
        dataset: Data set addressed by position.
        seed: Seed of the permutations; ranks must agree.
        indices: Subset of the data set to visit; all of it by default.
        shuffle: Visit in permuted order; else in the order of ``indices``.
        epochs: Number of passes; endless if None.
        stream: Distinguishes samplers with one seed, e.g. the two parts of a search.

    ``start`` is the number of samples that all ranks together have read before: set it before
    iterating to go on where a run stopped.

    Raises:
        ValueError: No samples, or an index outside of the data set.
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: int | None = 0,
        indices: Sequence[int] | None = None,
        shuffle: bool = True,
        epochs: int | None = None,
        stream: int = 0,
    ) -> None:
        self.num_images = len(dataset)
        self.indices = np.arange(self.num_images) if indices is None else np.asarray(indices)
        if self.indices.size == 0:
            raise ValueError(f'{type(dataset).__name__} has no images to sample from')
        if self.indices.min() < 0 or self.indices.max() >= self.num_images:
            raise ValueError(f'indices: outside of the {self.num_images} images of the data set')
        self.seed = seed or 0
        self.shuffle = shuffle
        self.epochs = epochs
        self.stream = stream
        self.start = 0
        self.rank, self.world_size = get_dist_info()

    def order(self, epoch: int) -> np.ndarray:
        """Indices in the order of one epoch."""
        if not self.shuffle:
            return self.indices
        sequence = np.random.SeedSequence(self.seed, spawn_key=(_SHUFFLE, self.stream, epoch))
        return np.random.default_rng(sequence).permutation(self.indices)

    def __iter__(self) -> Iterator[int]:
        size = self.indices.size
        sample = self.start + self.rank
        epoch, order = -1, self.indices
        while self.epochs is None or sample < self.epochs * size:
            if sample // size != epoch:
                epoch = sample // size
                order = self.order(epoch)
            yield epoch * self.num_images + int(order[sample % size])
            sample += self.world_size

    def __len__(self) -> int:
        """Samples of this rank in one epoch, or in all of them if their number is given."""
        total = self.indices.size * (self.epochs or 1)
        return math.ceil(total / self.world_size)
