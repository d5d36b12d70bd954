import numpy as np

from bmtas.datasets import transforms as T
from bmtas.kinds import Classes, Depth, Mask, Normals

KINDS = dict(semseg=Classes(6), edge=Mask(), depth=Depth(), normals=Normals())


def sample(height=2, width=3):
    count = height * width
    grid = np.arange(count).reshape(height, width)
    normals = np.stack([grid + 1, grid + 2, grid + 3], -1).astype(np.float32)
    return dict(
        img=np.stack([grid * 10, grid * 10 + 1, grid * 10 + 2], -1).astype(np.uint8),
        labels=dict(
            semseg=grid.astype(np.uint8),
            edge=(grid % 2).astype(np.uint8),
            depth=(grid + 1).astype(np.float32),
            normals=normals,
        ),
        kinds=dict(KINDS),
        img_id='a',
    )


class Draws:
    """Stands in for a generator: returns the listed values in turn."""

    def __init__(self, *values):
        self.values = list(values)

    def _next(self, *args, **kwargs):
        return self.values.pop(0)

    random = uniform = integers = _next


def rng():
    return np.random.default_rng(0)


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
