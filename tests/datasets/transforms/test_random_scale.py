import numpy as np
from raw_samples import Draws, rng, sample

from bmtas.datasets import transforms as T


def test_scale_up_divides_depth_and_copies_labels():
    out = T.RandomScale(scales=[0.5, 2.0])(sample(), Draws(1))
    np.testing.assert_array_equal(
        out['labels']['semseg'], np.repeat(np.repeat([[0, 1, 2], [3, 4, 5]], 2, 0), 2, 1)
    )
    np.testing.assert_allclose(out['labels']['depth'][::2, ::2], [[0.5, 1, 1.5], [2, 2.5, 3]])
    # the direction of a surface does not change with the distance
    np.testing.assert_array_equal(out['labels']['normals'][0, 1], [1, 2, 3])
    # bilinear with pixel centres: 0, 0.25, 0.75 of the step of 10 between the first two pixels
    np.testing.assert_allclose(out['img'][0, :4, 0], [0, 2.5, 7.5, 12.5], atol=0.51)


def test_scale_size_is_truncated():
    out = T.RandomScale(scale_range=(0.5, 2.0))(sample(5, 7), Draws(0.75))
    assert out['img'].shape == (3, 5, 3)
    assert {array.shape[:2] for array in out['labels'].values()} == {(3, 5)}


def test_scale_draws_stay_in_range():
    transform = T.RandomScale(scales=[0.5, 0.75, 2.0])
    generator = rng()
    drawn = {transform.choice.draw(generator) for _ in range(60)}
    assert drawn == {0.5, 0.75, 2.0}
    transform = T.RandomScale(scale_range=(0.5, 2.0))
    drawn = [transform.choice.draw(generator) for _ in range(200)]
    assert 0.5 <= min(drawn) < 0.6 and 1.9 < max(drawn) <= 2.0
