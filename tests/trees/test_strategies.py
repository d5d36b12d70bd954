import json
from dataclasses import replace

import numpy as np
import pytest

from bmtas.search.surrogate import probe_trees


def play(strategy, trial, seed=0):
    from protocol import figures

    outcome = strategy(trial, np.random.default_rng(seed))
    return outcome, figures(trial, outcome)


def test_without_noise_the_surrogate_finds_the_optimum(make_table):
    import strategies
    from protocol import Trial

    trial = Trial(make_table(), 0)
    outcome, found = play(strategies.surrogate(60, 0.5, forms=('pairs',)), trial)
    assert found['regret'].mean() < 0.1 * (trial.best - trial.average).mean()
    assert found['rank'].mean() > 0.95
    assert outcome.units[0] == pytest.approx(0.5 * trial.units.mean() * 60, rel=0.3)
    assert play(strategies.one_seed, trial)[1]['regret'].max() == pytest.approx(0)
    assert play(strategies.two_task, trial)[1]['regret'].max() == pytest.approx(0, abs=1e-9)


def test_probes_of_additive_losses_find_the_optimum(make_table):
    import strategies
    from protocol import Trial

    table = make_table()
    assert strategies.probes(Trial(table, 0), None) is None
    routes = np.concatenate([probe_trees(3, 4), np.zeros((1, 3, 4), int)])
    numbers = [int((table.routes == tree).all((1, 2)).argmax()) for tree in map(_canonical, routes)]
    table = replace(table, probe_routes=routes, probes=table.test[numbers])
    outcome, found = play(strategies.probes, Trial(table, 0))
    assert found['rank'].mean() > 0.95
    price = (routes.max(2) + 1).sum() / 3
    assert outcome.units[0] == pytest.approx(0.5 + 0.25 * price)


def _canonical(routes):
    from bmtas.branching import BranchingTree

    return BranchingTree.from_routes(routes).routes


def test_vanilla_takes_the_dearest_vanilla_tree_under_the_budget(make_table):
    import strategies
    from protocol import Trial

    trial = Trial(make_table(), 0)
    outcome, _ = play(strategies.vanilla, trial)
    for tree, budget in zip(outcome.trees, trial.budgets):
        groups = list(trial.table.trees[tree].num_groups)
        shared = groups.count(1)
        assert groups == [1] * shared + [4] * (3 - shared)
        assert sum(groups) <= budget < sum(groups) + 3


def test_permuted_trees_cost_the_same_and_are_no_better_on_average(make_table):
    import strategies
    from protocol import Trial

    trial = Trial(make_table(), 0)
    outcome, found = play(strategies.permuted(strategies.optimum), trial)
    tree = outcome.trees[0]
    others = strategies._permutations(trial, trial.table.trees[tree])
    assert tree in others and len(set(trial.table.costs[sorted(others)])) == 1
    expected = trial.truth[sorted(others - {tree})].mean()
    assert outcome.values[0] == pytest.approx(expected)
    assert (found['regret'] >= 0).all()


def test_the_race_pays_for_what_it_trains_and_takes_the_best_seen(make_table):
    import strategies
    from protocol import Trial

    trial = Trial(make_table(noise=0.05), 0)
    plain, _ = play(strategies.surrogate(16, 0.5), trial)
    raced, _ = play(strategies.race(16, 0.5), trial)
    assert (raced.units >= plain.units).all() and (raced.units > plain.units).any()
    assert (trial.gains(0.5)[raced.trees] >= trial.gains(0.5)[plain.trees]).all()


def test_designs_begin_with_the_ends_and_have_no_tree_twice(make_table):
    import strategies
    from protocol import Trial

    trial = Trial(make_table(), 0)
    trees = strategies.draw_design(trial, 40, np.random.default_rng(0))
    costs = trial.table.costs
    assert costs[trees[0]] == costs.min() and costs[trees[1]] == costs.max()
    assert len(set(trees.tolist())) == 40
    assert len(strategies.draw_design(trial, 999, np.random.default_rng(0))) == len(costs)


def test_the_command_prints_writes_and_draws(make_table, tmp_path, monkeypatch, capsys):
    import compare

    chosen = ('random, in expectation', 'best of 3', 'surrogate, 24 half', 'optimum')
    kept = {name: compare.STRATEGIES[name] for name in chosen}
    monkeypatch.setattr(compare, 'STRATEGIES', kept)
    files = []
    for number in range(2):
        files.append(str(tmp_path / f'{number}.npz'))
        make_table(noise=0.05, seed=number).save(files[-1])
    out, picture = tmp_path / 'result.json', tmp_path / 'regret.png'
    options = ['--seeds', '1', '--repetitions', '2', '--out', str(out), '--picture', str(picture)]
    monkeypatch.setattr('sys.argv', ['compare.py', *files, *options])
    compare.main()
    result = json.loads(out.read_text())
    assert list(result) == list(chosen) and picture.stat().st_size > 5000
    assert result['optimum']['normalised'] >= 1 and result['best of 3']['bias'] is None
    assert result['surrogate, 24 half']['against_best_of_n'][1] < result['optimum']['normalised']
    assert 'surrogate, 24 half' in capsys.readouterr().out


def test_bmtas_takes_the_dearest_tree_allowed_and_decodes_at_every_budget(make_table):
    import strategies
    from protocol import Trial

    table = make_table()
    trees = [0, 60, 153]
    together = table.routes[trees][:, :, :, None] == table.routes[trees][:, :, None, :]
    searches = dict(
        variants=np.array(['v']),
        seeds=np.array([0]),
        units=np.array([5.0]),
        routes=table.routes[trees][None, :, None],
        shared=together.astype(float)[None, :, None],
    )
    trial = Trial(table, 0, searches=searches)
    assert strategies.bmtas_argmax('other')(trial, None) is None
    assert strategies.bmtas_argmax('v')(Trial(table, 1, searches=searches), None) is None
    outcome, _ = play(strategies.bmtas_argmax('v'), trial)
    costs = table.costs
    for tree, budget in zip(outcome.trees, trial.budgets):
        assert tree == max((t for t in trees if costs[t] <= budget), key=lambda t: costs[t])
    assert outcome.units.tolist() == [15.0] * len(trial.budgets)
    # sure probabilities decode to their own tree where it is allowed
    outcome, _ = play(strategies.bmtas_decoded('v', which=1), trial)
    for tree, budget in zip(outcome.trees, trial.budgets):
        assert costs[tree] <= budget and (tree == 60 or budget < costs[60])
    outcome, _ = play(strategies.bmtas_decoded('v'), trial)
    assert (costs[outcome.trees] <= trial.budgets).all()
