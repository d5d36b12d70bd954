"""The order of positions is a function of seed and start."""

from itertools import islice

import pytest

from bmtas.datasets import PositionSampler


def positions(sampler, count):
    return list(islice(sampler, count))


def test_every_image_once_per_epoch_in_another_order():
    sampler = PositionSampler(range(10), seed=3)
    first, second = positions(sampler, 20)[:10], positions(sampler, 20)[10:]
    assert sorted(first) == list(range(10))
    assert sorted(p - 10 for p in second) == list(range(10))
    assert first != [p - 10 for p in second]


def test_start_skips_what_was_read():
    sampler = PositionSampler(range(7), seed=1)
    whole = positions(sampler, 40)
    sampler.start = 17
    assert positions(sampler, 23) == whole[17:]


def test_ranks_together_read_what_one_process_reads():
    whole = positions(PositionSampler(range(9), seed=5), 24)
    ranks = []
    for rank in range(2):
        sampler = PositionSampler(range(9), seed=5)
        sampler.rank, sampler.world_size = rank, 2
        ranks.append(positions(sampler, 12))
    batches = [sorted(whole[i : i + 4]) for i in range(0, 24, 4)]
    merged = [sorted(ranks[0][i : i + 2] + ranks[1][i : i + 2]) for i in range(0, 12, 2)]
    assert merged == batches


def test_subset_streams_and_finite_passes():
    sampler = PositionSampler(range(10), indices=[2, 5, 8], shuffle=False, epochs=2)
    assert list(sampler) == [2, 5, 8, 12, 15, 18]
    assert len(sampler) == 6
    one, other = (PositionSampler(range(30), seed=0, stream=s) for s in (1, 2))
    assert positions(one, 30) != positions(other, 30)


def test_no_images_and_foreign_indices_are_errors():
    with pytest.raises(ValueError, match='no images'):
        PositionSampler([])
    with pytest.raises(ValueError, match='outside of the 3 images'):
        PositionSampler(range(3), indices=[3])
