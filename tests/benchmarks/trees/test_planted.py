import numpy as np
import pytest
import torch


@pytest.fixture
def short(monkeypatch):
    import planted

    monkeypatch.setattr(planted, 'UPDATES', 16)
    return planted


def test_teachers_of_one_node_give_all_their_tasks_the_same_features(short):
    import teachers

    regime = teachers.Regime(0.0, (0.0, 0.0), (1.0, 3.0), points=50)
    problem = teachers.draw_problem(regime, 3)
    x, y = problem.test
    assert x.shape == (2000, 12) and y.shape == (2, 2000, 4)
    assert torch.allclose(y[1].std(0), torch.tensor(3.0), rtol=0.1)
    assert problem.tree.num_groups[0] <= 2 and problem.tree.num_groups[-1] == 2
    again = teachers.draw_problem(regime, 3)
    assert again.tree == problem.tree and torch.equal(again.test[1], y)


@pytest.mark.parametrize('routes', [[[0, 0, 1, 1]] * 3, [[0] * 4, [0, 1, 1, 0], [0, 1, 2, 0]]])
def test_students_are_plain_networks_trained_one_by_one(short, routes):
    """Oracle: every node a plain layer, one optimizer, a loop over tasks."""
    import teachers

    from bmtas.branching import BranchingTree

    problem = teachers.draw_problem(teachers.REGIMES['hard'], 0)
    tree = BranchingTree.from_routes(routes, problem.regime.tasks)
    networks, slots = short.networks_of([tree])
    students = short.Students(problem, networks, seeds=[5])
    start = [weights.detach().clone() for weights in students.weights]
    found = students.train()[16][0, slots[0]]

    nodes = {}
    for layer in range(3):
        for group in range(tree.num_groups[layer]):
            nodes[layer, group] = start[layer][0, 0].clone().requires_grad_()
    heads = [start[3][0, slots[0][t]].clone().requires_grad_() for t in range(4)]
    optimizer = torch.optim.Adam([*nodes.values(), *heads], short.RATE)

    def loss_of(task, x, y):
        for layer in range(3):
            weights = nodes[layer, int(tree.routes[layer, task])]
            x = torch.tanh(x @ weights[:-1] + weights[-1])
        return (x @ heads[task][:-1] + heads[task][-1] - y[task]).square().mean()

    x, y = problem.train
    for update, batch in enumerate(short.order(len(x), 5, 16)):
        optimizer.param_groups[0]['lr'] = short.RATE * (1 - update / 16) ** short.POWER
        optimizer.zero_grad()
        sum(loss_of(task, x[batch], y[:, batch]) for task in range(4)).backward()
        optimizer.step()
    with torch.no_grad():
        expected = [float(loss_of(task, *problem.held_out).log()) for task in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_probes_start_as_shared_and_then_part(short):
    import teachers

    problem = teachers.draw_problem(teachers.REGIMES['easy'], 1)
    routes, losses = short.probe(problem, seeds=[0, 1], start=8, length=1)
    assert routes.shape == (22, 3, 4) and losses.shape == (22, 2, 4)
    assert np.abs(losses - losses[-1]).max() < 0.02
    _, later = short.probe(problem, seeds=[0, 1], start=8, length=8)
    assert np.abs(later - later[-1]).max() > np.abs(losses - losses[-1]).max() > 0


def test_table_has_all_trees_and_a_tree_is_put_together_from_its_networks(short):
    import teachers

    table = short.make_table(teachers.REGIMES['noisy'], 0, seeds=[0, 1])
    assert table.held_out.shape == (154, 2, 5, 4) and table.trained.all()
    first = [tree.num_groups[0] for tree in table.trees]
    assert first.count(4) == 1
    alone = table.test[first.index(4)]
    for number, tree in enumerate(table.trees):
        for task in range(4):
            if (tree.routes[0] == tree.routes[0, task]).sum() == 1:
                np.testing.assert_array_equal(table.test[number, :, task], alone[:, task])


def test_the_command_goes_on_where_it_was_stopped(short, monkeypatch, tmp_path, capsys):
    options = ['--dir', str(tmp_path), '--regimes', 'easy', '--teachers', '2', '--seeds', '2']
    monkeypatch.setattr('sys.argv', ['planted.py', *options])
    short.main()
    (tmp_path / 'easy_00.npz').unlink()
    capsys.readouterr()
    short.main()
    assert capsys.readouterr().out.count('.npz') == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_searches_of_a_supergraph_that_mixes_one_candidate_are_trainings_of_its_tree():
    """Oracle: with one-hot weights a supergraph is a plain network of layers."""
    import planted_search as script
    import teachers

    problem = teachers.draw_problem(teachers.REGIMES['hard'], 0)
    graphs = script.Supergraphs(problem, [script.Variant()], [(0.1, 0), (0.2, 1)])
    with torch.no_grad():
        for weights in graphs.weights:
            weights += torch.randn(weights.shape)
    routes = torch.tensor([[0, 0, 1, 1], [2, 0, 1, 1], [3, 0, 1, 2]])
    mixing = torch.nn.functional.one_hot(routes, 4).float().expand(2, -1, -1, -1)
    x, y = problem.held_out
    for task, number in ((0, 1), (3, 0)):
        h = x
        for layer in range(3):
            weights = graphs.weights[layer][number, routes[layer, task]]
            h = torch.tanh(h @ weights[:-1] + weights[-1])
        head = graphs.weights[3][number, task]
        expected = (h @ head[:-1] + head[-1] - y[task]).square().mean()
        torch.testing.assert_close(graphs.loss(x, y, mixing, task)[number], expected)


def test_a_price_that_is_huge_searches_shared_and_the_file_is_used(monkeypatch, tmp_path, capsys):
    import compare
    import planted_search as script

    quick = script.Variant(warmup=2, cycles=6)
    monkeypatch.setattr(script, 'VARIANTS', {'as it is': quick})
    monkeypatch.setattr(script, 'WEIGHT_PHASE', 1)
    monkeypatch.setattr(script, 'LAMBDAS', (0.0, 1e4))
    monkeypatch.setattr(script, 'ALPHA_RATE', 0.5)
    options = ['--dir', str(tmp_path), '--regimes', 'easy', '--teachers', '1', '--seeds', '1']
    monkeypatch.setattr('sys.argv', ['planted_search.py', *options])
    script.main()
    found = compare._beside(tmp_path / 'easy_00.npz', 'searches')
    assert found['routes'].shape == (1, 2, 1, 3, 4) and found['shared'].shape == (1, 2, 1, 3, 4, 4)
    assert not found['routes'][0, 1].any() and found['routes'][0, 0].any()
    assert found['shared'][0, 1].min() > found['shared'][0, 0].min()
    assert script.Variant(warmup=100, cycles=20).units(4) == (20 * 11 * 16 + 100 * 4) / 800


def test_alpha_learns_to_leave_a_candidate_that_is_spoilt():
    import planted_search as script
    import teachers

    problem = teachers.draw_problem(teachers.REGIMES['easy'], 0)
    graphs = script.Supergraphs(problem, [script.Variant(logs=True)], [(0.0, 0)])
    with torch.no_grad():
        graphs.weights[2][:, 2] = 0  # a dead candidate of the last layer beside three random ones
        graphs.weights[2][:, 2, -1] = 50.0
        graphs.weights[3][:, 0, :-1] = 3.0
    for _ in range(30):
        graphs.alpha_update(torch.arange(30), 1.0)
    assert graphs.alpha[0, 2, 0].argmin() == 2
