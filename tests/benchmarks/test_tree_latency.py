"""benchmarks/tree_latency.py: its figures by hand, and two networks."""

import numpy as np
import pytest


@pytest.fixture
def script(load_script):
    return load_script('tree_latency')


def test_figures(script):
    measured = np.array([1.0, 2.0, 3.0])
    assert script.agreement(measured, measured) == pytest.approx((1, 1, 0))
    # twice as much: a line explains it, the prediction itself is far off
    assert script.agreement(2 * measured, measured) == pytest.approx((1 - 14 / 2, 1, 100))


def test_trees_are_distinct_and_begin_with_the_extremes(script):
    trees = script.random_trees(4, ['a', 'b', 'c'], 6)
    assert trees[0].num_groups == (1,) * 4 and trees[1].num_groups == (3,) * 4
    assert len(trees) == 6 and len(set(trees)) > 4


def test_the_separate_network_takes_longer_than_the_shared_one(script, capsys):
    script.main(['--trees', '2', '--size', '64'])
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith('predicted')]) == 2
    assert 'mean absolute error' in lines[-1]
