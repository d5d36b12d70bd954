import numpy as np
from raw_samples import rng, sample

from bmtas.datasets import transforms as T
from bmtas.kinds import Classes


def test_absent_foreground_is_ignored():
    results = sample()
    results['labels']['parts'] = np.array([[0, 255, 0], [0, 0, 0]], np.uint8)
    results['kinds']['parts'] = Classes(7)
    transform = T.IgnoreAbsentForeground(['parts', 'missing'])
    out = transform(results, rng())
    assert (out['labels']['parts'] == 255).all()
    np.testing.assert_array_equal(out['labels']['semseg'], results['labels']['semseg'])
    results['labels']['parts'][1, 1] = 4
    np.testing.assert_array_equal(
        transform(results, rng())['labels']['parts'], [[0, 255, 0], [0, 4, 0]]
    )
