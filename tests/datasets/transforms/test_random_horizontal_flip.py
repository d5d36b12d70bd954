import numpy as np
from raw_samples import Draws, sample

from bmtas.datasets import transforms as T


def test_flip_mirrors_and_negates_x():
    out = T.RandomHorizontalFlip()(sample(), Draws(0.4))
    np.testing.assert_array_equal(out['labels']['semseg'], [[2, 1, 0], [5, 4, 3]])
    np.testing.assert_array_equal(out['img'][..., 0], [[20, 10, 0], [50, 40, 30]])
    np.testing.assert_array_equal(out['labels']['depth'], [[3, 2, 1], [6, 5, 4]])
    np.testing.assert_array_equal(out['labels']['normals'][0], [[-3, 4, 5], [-2, 3, 4], [-1, 2, 3]])
    kept = T.RandomHorizontalFlip()(sample(), Draws(0.5))
    np.testing.assert_array_equal(kept['labels']['semseg'], [[0, 1, 2], [3, 4, 5]])
