import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr


def test_expected_best_is_the_mean_over_all_draws():
    from protocol import expected_best

    rng = np.random.default_rng(0)
    seen, true = rng.standard_normal(7), rng.standard_normal(7)
    for count in (1, 3, 7):
        draws = [list(draw) for draw in itertools.combinations(range(7), count)]
        expected = np.mean([true[draw][seen[draw].argmax()] for draw in draws])
        assert expected_best(seen, true, count) == pytest.approx(expected)
    assert expected_best(seen, true, 99) == true[seen.argmax()]


def test_truth_leaves_out_the_seed_that_is_searched_with(make_table):
    from protocol import Trial

    table = make_table(noise=0.5)
    trial = Trial(table, 2)
    expected = -100 * table.test[:, [0, 1, 3]].mean(1).mean(1)
    np.testing.assert_allclose(trial.truth, expected)
    np.testing.assert_allclose(trial.gains(0.5), -100 * table.held_out[:, 2, 1].mean(1))


def test_the_optimum_is_normalised_to_one_or_more_and_random_to_zero(make_table):
    from merit import figures
    from protocol import Trial
    from strategies import average, optimum

    trial = Trial(make_table(), 0)
    assert set(trial.budgets) <= set(trial.table.costs)
    best = figures(trial, optimum(trial, None))
    assert (best['normalised'] >= 1 - 1e-9).all() and np.allclose(best['regret'], 0)
    assert np.allclose(best['equal'], 1) and np.allclose(best['percentile'], 100)
    assert np.allclose(best['rank'], 1)
    assert np.allclose(figures(trial, average(trial, None))['normalised'], 0)


def test_figures_by_hand(make_table):
    from merit import figures
    from protocol import Outcome, Trial

    trial = Trial(make_table(), 0)
    score = np.random.default_rng(1).standard_normal(len(trial.truth))
    trees = trial.best_up_to(score)
    found = figures(trial, Outcome(trees, np.ones(len(trees)), score))
    for number, budget in enumerate(trial.budgets):
        costs, truth = trial.table.costs, trial.truth
        equal = np.flatnonzero(np.isclose(costs, budget))
        assert (
            costs[trees[number]] <= budget and score[trees[number]] == score[costs <= budget].max()
        )
        mean, best = truth[equal].mean(), truth[equal].max()
        value = (truth[trees[number]] - mean) / (best - mean)
        assert found['normalised'][number] == pytest.approx(value)
        regret = truth[costs <= budget].max() - truth[trees[number]]
        assert found['regret'][number] == pytest.approx(regret)
        chosen = equal[score[equal].argmax()]
        share = (truth[equal] < truth[chosen]).sum() / (len(equal) - 1)
        assert found['percentile'][number] == pytest.approx(100 * share)
        rank = spearmanr(score[equal], truth[equal]).statistic
        assert found['rank'][number] == pytest.approx(rank)
        assert found['bar'][number] == pytest.approx(0)  # one unit pays one random tree


def test_quantile_budgets_lie_between_the_ends(make_table):
    from protocol import Trial

    table = make_table(fixed=1.0)
    trial = Trial(table, 0, num_budgets=10)
    assert 8 <= len(trial.budgets) <= 10 and (np.diff(trial.budgets) >= 0).all()
    assert min(map(len, trial.classes)) >= 3  # few trees cost about the tenth: left out
    assert table.costs.min() <= trial.budgets[0] and trial.budgets[-1] <= table.costs.max()


def test_bootstrap_covers_the_mean_and_draws_whole_groups():
    from merit import bootstrap

    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(30), 10)
    shared = rng.standard_normal(30)
    mean, low, high = bootstrap(shared[groups], groups)
    error = shared.std() / np.sqrt(30)
    assert low < mean < high and high - low == pytest.approx(2 * 1.96 * error, rel=0.15)
    cells = bootstrap(shared[groups], np.arange(300))
    assert cells[2] - cells[1] == pytest.approx((high - low) / np.sqrt(10), rel=0.2)


def test_calibration_of_an_exact_and_of_a_shifted_prediction(make_table):
    from merit import calibration
    from protocol import Trial

    trial = Trial(make_table(), 0)
    assert calibration(trial, trial.truth + 5) == pytest.approx((1, 0))
    score = trial.truth + 2 * (trial.table.costs > trial.table.costs.min())
    others = 1 - 1 / len(score)
    assert calibration(trial, score)[1] == pytest.approx(2 * others)
