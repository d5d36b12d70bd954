"""Regret by budget, against a count by hand on the committed table."""

from pathlib import Path

import numpy as np
import pytest

TABLE = Path(__file__).resolve().parents[3] / 'benchmarks' / 'trees' / 'shapescenes.npz'


def test_regret_by_budget(capsys):
    import headroom
    from compare import trials_of

    trials = trials_of(TABLE, budgets=10)
    found = headroom.headroom(trials)
    costs = trials[0].table.costs
    for place, budget in enumerate(trials[0].budgets):
        equal, allowed = np.abs(costs / budget - 1) <= 0.02, costs <= budget * (1 + 1e-9)
        chance = []
        for trial in trials:
            optimum = trial.truth[allowed].max()
            chance.append(optimum - trial.truth[equal].mean())
        assert found['random, in expectation'][place] == pytest.approx(np.mean(chance))
    order = [found[name].mean() for name in headroom.ROWS[:4]]
    assert order == sorted(order, reverse=True) and found['all trees, one seed'].min() >= 0
    headroom.main([str(TABLE), '--budgets', '10'])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 10 + 1 and lines[-1].split('|')[3].strip() == '1.04'


def test_tables_of_different_kinds_are_refused():
    import headroom
    from compare import trials_of

    trials = [trials_of(TABLE, 1, budgets)[0] for budgets in (10, 9)]
    with pytest.raises(ValueError, match='different budgets; give tables of one kind'):
        headroom.headroom(trials)
