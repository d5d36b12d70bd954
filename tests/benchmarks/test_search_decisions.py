"""benchmarks/search_decisions.py on a course that was written down by hand."""

import pytest


@pytest.fixture
def script(load_script):
    return load_script('search_decisions')


def row(phase, groups, entropy=(1.0, 1.0, 1.0)):
    return dict(phase=phase, groups=list(groups), entropy=list(entropy))


ROWS = [
    row('warmup', (3, 3, 3)),
    row('alpha', (2, 3, 3)),
    row('alpha', (1, 3, 3), (0.1, 0.9, 0.2)),
    row('weights', (1, 3, 3), (0.1, 0.9, 0.2)),
    row('alpha', (1, 3, 3)),
    row('alpha', (1, 2, 3)),
    row('weights', (1, 2, 3)),
]


def test_shares_count_alpha_updates_only(script):
    assert script.decisions(ROWS) == [(1, 0.5), (2, 1.0), (3, 0.0)]


def test_entropy_after_the_first_phase(script):
    assert script.early_entropy(ROWS) == [0.1, 0.9, 0.2]


def test_search_without_a_warm_up(script):
    # nothing is known from before the first report
    assert script.decisions(ROWS[1:])[2] == (3, 0.0)
    assert script.decisions(ROWS[1:])[0] == (1, 0.5)


def test_no_alpha_phase_is_an_error(script):
    with pytest.raises(ValueError, match='no row of an alpha phase'):
        script.decisions(ROWS[:1])
