"""Phases of a search, against a list written out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmtas.search.gradient import SearchSchedule


def written_out(warmup, weights, alpha_phase, weight_phase):
    """The phases as a list, made step by step."""
    phases, left = ['warmup'] * warmup, weights
    while left > 0:
        phases += ['alpha'] * alpha_phase + ['weights'] * min(weight_phase, left)
        left -= weight_phase
    return phases


@given(st.integers(0, 6), st.integers(0, 14), st.integers(1, 4), st.integers(1, 5))
def test_phases_steps_and_starts(warmup, weights, alpha_phase, weight_phase):
    phases = written_out(warmup, weights, alpha_phase, weight_phase)
    if not phases:
        return
    schedule = SearchSchedule(warmup, weights, alpha_phase, weight_phase)
    assert schedule.total == len(phases)
    assert [schedule.phase(u) for u in range(len(phases))] == phases
    for update, phase in enumerate(phases):
        same_split = [p for p in phases[:update] if (p == 'alpha') == (phase == 'alpha')]
        assert schedule.split_step(update) == len(same_split)
        begins = update == 0 or phases[update - 1] != phase
        assert schedule.starts(update) == (phase if begins else None)


def test_progress():
    schedule = SearchSchedule(2, 6, 1, 3)  # 2 warm-up, two cycles of 4
    assert [schedule.progress(u) for u in (0, 2, 9)] == [0, 0, 1]
    assert schedule.progress(3) == pytest.approx(1 / 7)
    assert [schedule.progress(u, 'cycle') for u in (2, 5, 6, 9)] == [0, 0, 1, 1]
    assert SearchSchedule(3, 0, 1, 1).progress(2) == 0


@pytest.mark.parametrize('lengths', [(-1, 4, 1, 1), (0, 4, 0, 1), (0, 0, 1, 1)])
def test_bad_lengths_are_refused(lengths):
    with pytest.raises(ValueError):
        SearchSchedule(*lengths)
