import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from bmtas.branching import BranchingTree


@pytest.fixture
def short(monkeypatch):
    import planted
    import planted_signals

    monkeypatch.setattr(planted, 'UPDATES', 16)
    return planted, planted_signals


def test_short_schedules_end_at_rate_zero_and_see_the_first_batches(short):
    """Oracle: the same networks trained by a program whose usual length is the short one."""
    import teachers

    planted, script = short
    problem = teachers.draw_problem(teachers.REGIMES['hard'], 0)
    trees = [
        make(3, problem.regime.tasks) for make in (BranchingTree.shared, BranchingTree.separate)
    ]
    losses = script.short_losses(problem, trees, [0, 1])
    assert losses.shape == (2, 2, 2, 4)
    networks, slots = planted.networks_of(trees)
    planted.UPDATES = 4
    expected = planted.Students(problem, networks, [0, 1]).train()[4][:, slots]
    np.testing.assert_array_equal(losses[:, 0], expected)


def test_affinities_follow_from_separate_features_and_shared_errors(short):
    """Oracle: correlations of plain loops over two networks' features."""
    import teachers

    planted, script = short
    problem = teachers.draw_problem(teachers.REGIMES['noisy'], 0)
    representation, difficulty = script.affinities(problem, [3])
    assert representation.shape == (1, 3, 4, 4) and difficulty.shape == (1, 4, 4)
    tasks, (x, y) = problem.regime.tasks, problem.train
    single = planted.Students(
        problem, planted.networks_of([BranchingTree.separate(3, tasks)])[0], [3]
    )
    single.train()
    upper, distances = np.triu_indices(len(x), 1), []
    for task in (1, 2):
        h = x
        for layer in range(2):
            weights = single.weights[layer][0, task].detach()
            h = torch.tanh(h @ weights[:-1] + weights[-1])
        distances.append(1 - np.corrcoef(h.double().numpy())[upper])
    expected = spearmanr(*distances).statistic
    assert representation[0, 1, 1, 2] == pytest.approx(expected, abs=1e-6)
    shared = planted.Students(
        problem, planted.networks_of([BranchingTree.shared(3, tasks)])[0], [3]
    )
    shared.train()
    with torch.no_grad():
        errors = shared.errors(x[None], y[:, None])[0].numpy()
    hard = errors >= errors.mean(1, keepdims=True)
    assert difficulty[0, 0, 3] == pytest.approx((hard[0] == hard[3]).mean())


def test_the_supergraph_of_one_tree_is_a_training_of_its_network(short):
    """Oracle: the shared network by autograd, on the sum of log losses."""
    import teachers

    planted, script = short
    problem = teachers.draw_problem(teachers.REGIMES['easy'], 1)
    tree = BranchingTree.shared(3, problem.regime.tasks)
    graph = script.UniformSupergraph(problem, [tree], 5)
    graph.candidates = lambda _: torch.zeros(3, 4, dtype=torch.long)
    nodes = [weights[0].detach().clone().requires_grad_() for weights in graph.weights[:-1]]
    heads = graph.weights[-1].detach().clone().requires_grad_()
    assert graph.train() == 3
    optimizer = torch.optim.Adam([*nodes, heads], planted.RATE)
    x, y = problem.train

    def log_losses(x, y):
        for weights in nodes:
            x = torch.tanh(x @ weights[:-1] + weights[-1])
        outputs = torch.stack([x @ head[:-1] + head[-1] for head in heads])
        return (outputs - y).square().mean((1, 2)).log()

    for update, batch in enumerate(planted.order(len(x), 5, 48)):
        optimizer.param_groups[0]['lr'] = planted.RATE * (1 - update / 48) ** planted.POWER
        optimizer.zero_grad()
        log_losses(x[batch], y[:, batch]).sum().backward()
        optimizer.step()
    expected = log_losses(*problem.held_out).detach().numpy()
    np.testing.assert_allclose(graph.scores()[0], expected, atol=1e-5)


def test_the_file_stands_beside_the_table_and_its_strategies_play(short, monkeypatch, tmp_path):
    import teachers

    planted, script = short
    import compare
    from protocol import Trial

    planted.make_table(teachers.REGIMES['easy'], 0, [0, 1]).save(tmp_path / 'easy_00.npz')
    options = ['--dir', str(tmp_path), '--regimes', 'easy', '--teachers', '1', '--seeds', '1']
    monkeypatch.setattr('sys.argv', ['planted_signals.py', *options])
    script.main()
    table = compare.TreeTable.load(tmp_path / 'easy_00.npz')
    found = compare._beside(tmp_path / 'easy_00.npz', 'signals')
    short = 'surrogate, 24 half, own schedule'
    names = (compare.DEFAULT, short, 'uniform supergraph, best', 'FAFS', 'BMN')
    for name in names[1:]:
        rng = np.random.default_rng(0)
        assert compare.STRATEGIES[name](Trial(table, 0, signals=None), rng) is None
        assert compare.STRATEGIES[name](Trial(table, 1, signals=found), rng) is None
    result = compare.play_all([Trial(table, 0, signals=found)], [0], 1, names)
    against = compare.play_all([Trial(table, 0, signals=found)], [0], 1, names, against='FAFS')
    difference = result['FAFS']['normalised'] - result['BMN']['normalised']
    assert against['BMN']['reference_minus'][0] == pytest.approx(difference)
    assert 'reference_minus' not in against['FAFS'] and 'default_minus' not in against['BMN']
    assert list(result) == list(names)
    assert [result[name]['units'] for name in names[3:]] == [1, 4]
    assert result['FAFS']['default_minus'][0] == pytest.approx(
        result[compare.DEFAULT]['normalised'] - result['FAFS']['normalised']
    )
