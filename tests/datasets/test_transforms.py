"""Every transform against results worked out by hand on arrays small enough to read."""

import copy

import numpy as np
import pytest
from raw_samples import sample

from bmtas.datasets import transforms as T


@pytest.mark.parametrize(
    'transform',
    [
        T.RandomHorizontalFlip(1.0),
        T.RandomScale(scales=[0.5, 1.0, 2.0]),
        T.Resize(factor=0.5, lines=['edge']),
        T.RandomCrop((5, 2), cat_max_ratio=0.75),
        T.PadTo(16),
        T.RandomAffine(angle=20, scale_range=(0.75, 1.25)),
        T.PhotoMetricDistortion(),
        T.IgnoreAbsentForeground(['edge']),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_transforms_are_pure(transform):
    for seed in range(5):
        results = sample(7, 9)
        before = copy.deepcopy(results)
        first = transform(results, np.random.default_rng(seed))
        for key in ('img',):
            np.testing.assert_array_equal(results[key], before[key])
        for name, array in before['labels'].items():
            np.testing.assert_array_equal(results['labels'][name], array)
        second = transform(copy.deepcopy(before), np.random.default_rng(seed))
        np.testing.assert_array_equal(first['img'], second['img'])
        for name, array in first['labels'].items():
            np.testing.assert_array_equal(array, second['labels'][name])
            assert array.shape[:2] == first['img'].shape[:2]


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: T.RandomScale(), 'either scales'),
        (lambda: T.RandomScale(scales=[0.0]), 'positive'),
        (lambda: T.RandomHorizontalFlip(2), r'\[0, 1\]'),
        (lambda: T.RandomCrop((3, 0)), 'positive integers'),
        (lambda: T.RandomCrop(3, cat_max_ratio=0), 'cat_max_ratio'),
        (lambda: T.Resize(), 'either factor'),
        (lambda: T.Resize(factor=-1), 'positive'),
        (lambda: T.Resize(factor=1, interpolation='nearest'), 'unknown interpolation'),
        (lambda: T.RandomAffine(angle=-3, scales=[1]), 'angle'),
    ],
)
def test_bad_options(build, message):
    with pytest.raises(ValueError, match=message):
        build()
