"""Which images a strategy looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import pseudo_collate
from torch.utils.data import Dataset


def batches(dataset: Dataset, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The given images in order, each a collated batch."""
    for index in indices:
        yield pseudo_collate([dataset[int(index)]])


def choose_images(available: int, num_images: int | None, seed: int) -> list[int]:
    """Sorted numbers of ``num_images`` images drawn without replacement; all if None or fewer.

    Raises:
        ValueError: Fewer than three: two images are one pair, whose rank says nothing.
    """
    count = available if num_images is None else min(num_images, available)
    if count < 3:
        raise ValueError(f'search.num_images: at least 3 are needed, there would be {count}')
    if count == available:
        return list(range(available))
    return sorted(np.random.default_rng(seed).choice(available, count, False).tolist())
