"""The common base of all data sets: positions in, packed samples out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from bmtas.registry import TRANSFORMS


class MultiTaskDataset(Dataset):
    """A data set addressed by position.

    A position is ``epoch * len(dataset) + index``. What ``dataset[position]`` returns is a pure
    function of (augmentation_seed, position): the generator handed to the transforms is seeded by
    (augmentation_seed, epoch, index), so neither the number of workers nor the number of processes
    nor what was loaded before changes a sample.

    Args:
        labels: Keys of the labels to load. A subclass rejects keys that it does not have.
        pipeline: Transforms (configs or callables), each ``(results, rng) -> results``.
        augmentation_seed: Seed of the transforms' random numbers.

    Subclasses implement ``__len__`` and ``load``, and set ``metainfo``.
    """

    metainfo: Mapping[str, Any] = {}

    def __init__(
        self,
        labels: Sequence[str],
        pipeline: Sequence[Mapping[str, Any] | Callable] = (),
        augmentation_seed: int = 0,
    ) -> None:
        self.labels = tuple(labels)
        self.augmentation_seed = augmentation_seed
        self.pipeline = [
            transform if callable(transform) else TRANSFORMS.build(transform)
            for transform in pipeline
        ]

    def load(self, index: int) -> dict[str, Any]:
        """Load one raw sample.

        Returns:
            dict with ``img`` (H, W, 3) uint8 RGB; ``labels``: name -> array, classes and mask
            (H, W) uint8 or int32 with 255 ignored, depth (H, W) float32 with 0 invalid, normals
            (H, W, 3) float32 with (0, 0, 0) invalid; ``kinds``: name -> kind; ``img_id``;
            ``img_path`` or None.
        """
        raise NotImplementedError

    def __getitem__(self, position: int) -> dict[str, Any]:
        epoch, index = divmod(int(position), len(self))
        rng = np.random.default_rng((self.augmentation_seed, epoch, index))
        results = self.load(index)
        results['ori_shape'] = results['img'].shape[:2]
        for transform in self.pipeline:
            results = transform(results, rng)
        return results
