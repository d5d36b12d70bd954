import numpy as np
import pytest

from bmtas.branching import pareto_front


def test_by_hand():
    cost, gain = np.array([(1, 0), (2, 5), (2, 4), (3, 5), (4, 7), (2, 5)]).T
    assert pareto_front(cost, -gain).tolist() == [0, 1, 4]
    assert pareto_front(np.zeros(0), np.zeros(0)).tolist() == []


@pytest.mark.parametrize('num_states', [1, 4])
def test_against_all_pairs(num_states):
    generator = np.random.default_rng(3)
    cost, score = generator.integers(0, 12, (2, 80)).astype(float)
    state = generator.integers(0, num_states, 80)
    found = pareto_front(cost, score, state if num_states > 1 else None)
    rows = np.stack([cost, score], axis=1)
    expected = {
        (state[i], *rows[i])
        for i in range(80)
        if not any(
            state[i] == state[j] and (rows[j] <= rows[i]).all() and (rows[j] < rows[i]).any()
            for j in range(80)
        )
    }
    kept = [(state[i], *rows[i]) for i in found]
    assert set(kept) == expected and len(kept) == len(expected)
    assert kept == sorted(kept)
