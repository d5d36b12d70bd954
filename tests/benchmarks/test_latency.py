"""benchmarks/latency.py: its figures by hand, and a table against measured networks."""

from argparse import Namespace

import numpy as np
import pytest


@pytest.fixture
def script(load_script):
    return load_script('latency')


def test_figures(script):
    found = np.array([1.0, 2.0, 3.0])
    assert script.quality(found, found) == pytest.approx((1, 1, 0))
    # twice as much: a line explains it, the prediction itself is far off
    assert script.quality(2 * found, found) == pytest.approx((1 - 14 / 2, 1, 100))


def test_the_separate_network_takes_longer_than_the_shared_one(script):
    args = Namespace(device='cpu', size=64, trees=1, seconds=0.01, wall=False)
    predicted, found = script.measure(args)
    assert predicted[0] < predicted[2] < predicted[1] and found[0] < found[1]
