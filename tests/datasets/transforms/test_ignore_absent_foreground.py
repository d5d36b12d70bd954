import numpy as np
import pytest
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


@pytest.mark.parametrize(
    'transform',
    [
        T.IgnoreAbsentForeground(['depth']),
        T.Resize(factor=0.5, lines=['depth']),
        T.RandomCrop(2, cat_max_ratio=0.5, ratio_label='depth'),
    ],
)
def test_labels_of_another_kind_are_refused(transform):
    name = type(transform).__name__
    with pytest.raises(ValueError, match=f"{name}: cannot treat label 'depth', .* kind depth"):
        transform(sample(), rng())
