import json
from dataclasses import replace

import numpy as np
import pytest

from bmtas.search.surrogate import probe_trees

BY_TREE = ('routes', 'held_out', 'test')


def play(strategy, trial, seed=0):
    from merit import figures

    outcome = strategy(trial, np.random.default_rng(seed))
    return outcome, figures(trial, outcome)


def test_without_noise_the_surrogate_finds_the_optimum(make_table):
    import regressions
    import strategies
    from protocol import Trial

    trial = Trial(make_table(), 0)
    outcome, found = play(regressions.surrogate(60, 0.5, forms=('pairs',)), trial)
    assert found['regret'].mean() < 0.1 * (trial.best - trial.average).mean()
    assert found['rank'].mean() > 0.95
    assert outcome.units[0] == pytest.approx(0.5 * trial.units.mean() * 60, rel=0.3)
    assert play(strategies.one_seed, trial)[1]['regret'].max() == pytest.approx(0)
    assert play(strategies.two_task, trial)[1]['regret'].max() == pytest.approx(0, abs=1e-9)


def test_probes_of_additive_losses_find_the_optimum(make_table):
    import regressions
    from protocol import Trial

    table = make_table()
    assert regressions.probes(Trial(table, 0), None) is None
    routes = np.concatenate([probe_trees(3, 4), np.zeros((1, 3, 4), int)])
    numbers = [int((table.routes == tree).all((1, 2)).argmax()) for tree in map(_canonical, routes)]
    table = replace(table, probe_routes=routes, probes=table.test[numbers])
    outcome, found = play(regressions.probes, Trial(table, 0))
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
    known = trial.table.routes.max(2).sum(1) != 3  # the table lacks a vanilla tree
    table = replace(trial.table, **{k: getattr(trial.table, k)[known] for k in BY_TREE})
    assert strategies.vanilla(Trial(table, 0), None) is None


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
    import regressions
    from protocol import Trial

    trial = Trial(make_table(noise=0.05), 0)
    plain, _ = play(regressions.surrogate(16, 0.5), trial)
    raced, _ = play(regressions.race(16, 0.5), trial)
    assert (raced.units >= plain.units).all() and (raced.units > plain.units).any()
    assert (trial.gains(0.5)[raced.trees] >= trial.gains(0.5)[plain.trees]).all()


def test_designs_begin_with_the_ends_and_have_no_tree_twice(make_table):
    import regressions
    from protocol import Trial

    trial = Trial(make_table(), 0)
    trees = regressions.draw_design(trial, 40, np.random.default_rng(0))
    costs = trial.table.costs
    assert costs[trees[0]] == costs.min() and costs[trees[1]] == costs.max()
    assert len(set(trees.tolist())) == 40
    assert len(regressions.draw_design(trial, 999, np.random.default_rng(0))) == len(costs)


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
    # half of the lambdas, the second of each pair, for half of the price
    outcome, _ = play(strategies.bmtas_argmax('v', every=2), trial)
    for tree, budget in zip(outcome.trees, trial.budgets):
        assert tree == (60 if costs[60] <= budget else costs.argmin())
    assert outcome.units.tolist() == [5.0] * len(trial.budgets)
    # sure probabilities decode to their own tree where it is allowed
    outcome, _ = play(strategies.bmtas_decoded('v', which=1), trial)
    for tree, budget in zip(outcome.trees, trial.budgets):
        assert costs[tree] <= budget and (tree == 60 or budget < costs[60])
    outcome, _ = play(strategies.bmtas_decoded('v'), trial)
    assert (costs[outcome.trees] <= trial.budgets).all()


@pytest.fixture
def with_signals(make_table):
    """A trial whose short trainings, supergraph and affinities say the truth."""
    from protocol import Trial

    table = make_table()
    truth = table.test.transpose(1, 0, 2)
    routes = table.routes
    signals = dict(
        seeds=np.arange(4),
        shares=np.array([0.25, 0.5]),
        short=np.stack([truth, truth], 1),
        supergraph=truth,
        supergraph_units=np.full(4, 7.5),
        branch_costs=np.ones(routes.shape[1]),
    )
    return Trial(table, 0, signals=signals)


def test_short_schedules_and_supergraphs_are_read_from_the_signals(with_signals):
    import regressions

    from bmtas.search.surrogate_search import SurrogateSearch

    outcome, found = play(regressions.surrogate(60, 0.5, own=True, forms=('pairs',)), with_signals)
    assert found['rank'].mean() > 0.95
    outcome, found = play(regressions.uniform_supergraph(None), with_signals)
    assert found['regret'].max() == pytest.approx(0) and set(outcome.units) == {7.5}
    assert play(regressions.uniform_supergraph(60), with_signals)[1]['rank'].mean() > 0.8
    outcome, _ = play(regressions.default(), with_signals)
    own = SurrogateSearch()
    same = regressions.thompson(own.count, own.rounds, own.batch, own.length)
    assert outcome.units.tolist() == play(same, with_signals)[0].units.tolist()


def test_signals_are_those_of_the_seed_not_of_its_place_in_the_table(with_signals):
    from dataclasses import replace

    table = replace(with_signals.table, seeds=np.array([1, 3, 0, 2]))
    for place, seed in enumerate(table.seeds):
        trial = replace(with_signals, table=table, seed=place)
        assert (trial.signal('short') == with_signals.signals['short'][seed]).all()
    other = replace(with_signals, table=replace(table, seeds=np.arange(4, 8)))
    assert other.signal('short') is None


def test_thompson_pays_for_each_budget_what_it_trains(with_signals):
    import regressions

    outcome, found = play(regressions.thompson(12, 2, 4, 0.5), with_signals)
    start = regressions.draw_design(with_signals, 12, np.random.default_rng(0))
    least = 0.5 * with_signals.units[start].sum()
    assert (outcome.units >= least).all() and len(set(outcome.units)) > 1
    dearest = np.sort(with_signals.units)[-8:].sum() / 2
    assert (outcome.units <= least + dearest).all()
    assert found['regret'].mean() < 0.5 * (with_signals.optimum - with_signals.average).mean()


def test_bmn_and_fafs_group_the_tasks_that_their_affinities_name(with_signals):
    import strategies

    affinity = np.full((4, 4), 0.1)
    affinity[:2, :2] = affinity[2:, 2:] = 0.9
    affinity[range(4), range(4)] = 1
    with_signals.signals['representation'] = np.tile(affinity, (4, 3, 1, 1))
    with_signals.signals['difficulty'] = np.tile(affinity, (4, 1, 1))
    pairs = int((with_signals.table.routes == [0, 0, 1, 1]).all((1, 2)).argmax())
    at_two = int(np.flatnonzero(with_signals.budgets == 6)[0])
    for strategy, units in ((strategies.bmn, 4), (strategies.fafs, 1)):
        outcome, _ = play(strategy, with_signals)
        assert outcome.trees[at_two] == pairs and set(outcome.units) == {units}


def test_short_schedules_are_compared_at_equal_cost(make_table, tmp_path, monkeypatch, capsys):
    import short_schedules

    table = make_table()
    path = tmp_path / 'table.npz'
    table.save(path)
    full = table.held_out[:, :, -1].transpose(1, 0, 2)
    noise = np.random.default_rng(0).standard_normal(full.shape)
    short = np.stack([full, full + noise], 1)  # a quarter says it all, a half says nothing
    np.savez(tmp_path / 'table.signals.npz', seeds=range(4), shares=[0.25, 0.5], short=short)
    monkeypatch.setattr('sys.argv', ['short_schedules.py', str(path), '--seeds', '2'])
    short_schedules.main()
    lines = capsys.readouterr().out.splitlines()[1:]
    found = {line[:22].strip(): [float(word) for word in line[22:].split()] for line in lines}
    assert found['whole'][0] == 1 and found['0.25 own schedule'] == found['whole']
    assert found['0.25 read off'] == found['whole'] and abs(found['0.5 own schedule'][0]) < 0.5
