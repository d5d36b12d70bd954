import numpy as np
import torch

from bmtas.engine.seeding import (
    Purpose,
    gumbel_generator,
    position_rng,
    position_seed,
    seed_update,
)


def test_streams_are_functions_of_the_position_and_none_is_another():
    positions = [(seed, p, u) for seed in (0, 1) for p in Purpose for u in range(50)]
    seeds = [position_seed(*position) for position in positions]
    assert len(set(seeds)) == len(seeds) and max(seeds) < 2**63
    assert seeds == [position_seed(*position) for position in reversed(positions)][::-1]
    first, again = (position_rng(3, Purpose.TREES, 7).integers(0, 99, 20) for _ in range(2))
    assert (first == again).all()
    assert (first != position_rng(3, Purpose.SPLIT, 7).integers(0, 99, 20)).any()


def test_an_update_draws_the_same_whatever_was_drawn_before():
    def draw():
        seed_update(5, 11, rank=1)
        return [np.random.rand(), float(torch.rand(()))]  # noqa: NPY002

    first = draw()
    torch.rand(100)
    assert draw() == first
    seed_update(5, 11, rank=0)
    assert float(torch.rand(())) != first[1]
    noise = [torch.rand(3, generator=gumbel_generator(5, 11, 'cpu')) for _ in range(2)]
    assert torch.equal(*noise)
