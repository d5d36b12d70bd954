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


def test_flip_mirrors_and_negates_x():
    out = T.RandomHorizontalFlip()(sample(), Draws(0.4))
    np.testing.assert_array_equal(out['labels']['semseg'], [[2, 1, 0], [5, 4, 3]])
    np.testing.assert_array_equal(out['img'][..., 0], [[20, 10, 0], [50, 40, 30]])
    np.testing.assert_array_equal(out['labels']['depth'], [[3, 2, 1], [6, 5, 4]])
    np.testing.assert_array_equal(out['labels']['normals'][0], [[-3, 4, 5], [-2, 3, 4], [-1, 2, 3]])
    kept = T.RandomHorizontalFlip()(sample(), Draws(0.5))
    np.testing.assert_array_equal(kept['labels']['semseg'], [[0, 1, 2], [3, 4, 5]])
