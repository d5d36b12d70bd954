"""Random numbers as functions of position.

No generator state is stored in a checkpoint. Whatever is drawn in update ``u`` comes from
generators seeded by (seed, purpose, u), so a run that is resumed at ``u`` draws what the
uninterrupted run drew.
"""

from __future__ import annotations

import random
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """First entry of the spawn key, so that no two purposes share a stream.

    The sampler of ``bmtas.datasets`` has 1; plug-ins have numbers of their own, from 20.
    """

    SPLIT = 2
    UPDATE = 3
    GUMBEL = 4
    ALPHA = 5
    BALANCING = 6
    TREES = 7


def position_seed(seed: int, purpose: int, *position: int) -> int:
    """A 63-bit seed that depends on all arguments."""
    sequence = np.random.SeedSequence(seed, spawn_key=(purpose, *position))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def position_rng(seed: int, purpose: int, *position: int) -> np.random.Generator:
    """A numpy generator that depends on all arguments."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *position)))


def seed_update(seed: int, update: int, rank: int = 0) -> None:
    """Seed the global generators of python, numpy and torch for one update of one rank."""
    value = position_seed(seed, Purpose.UPDATE, update, rank)
    random.seed(value)
    np.random.seed(value % 2**32)  # noqa: NPY002  (third-party code draws from it)
    torch.manual_seed(value)


def gumbel_generator(seed: int, update: int, device: torch.device | str) -> torch.Generator:
    """The generator of an update's Gumbel noise: the same on every rank."""
    generator = torch.Generator(device=device)
    return generator.manual_seed(position_seed(seed, Purpose.GUMBEL, update))
