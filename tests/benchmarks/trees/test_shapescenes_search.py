import numpy as np
import pytest
import torch

from bmtas.branching import BranchingTree
from bmtas.search.tree_table import TreeTable

ROUTES = [[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 2, 1], [0, 1, 2, 3]]


@pytest.fixture
def script(monkeypatch):
    """The script with few scenes, trees, prices and updates."""
    import scenes
    import scenes_trainings as trainings
    import shapescenes_search as script
    import shapescenes_table as table

    splits = {'train': ('train', 80), 'held_out': ('val', 4), 'test': ('test', 6)}
    monkeypatch.setattr(scenes, 'SPLITS', splits)
    monkeypatch.setattr(table, 'TRAINING_SCENES', 80)
    trees = list(script.enumerate_trees(4, script.NAMES))[:5]
    for module in (script, table):
        monkeypatch.setattr(module, 'enumerate_trees', lambda *_: iter(trees))
    variants = {
        'as it is': script.Variant(warmup=2),
        'log losses': script.Variant('exact', 2, True),
        'log losses, twice as long': script.Variant('exact', 2, True),
    }
    monkeypatch.setattr(script, 'LAMBDAS', (0.1, 1.0))
    for name, value in dict(WEIGHT_PHASE=4, ALPHA_PHASE=2).items():
        for module in (script, trainings):
            monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(script, 'VARIANTS', variants)
    return script


def different(graph):
    """All candidates get weights of their own."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in graph.net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return graph


def network_of(graph, tree, candidates):
    """The network of a tree with the weights of the candidates (L, T)."""
    from scenes import Network

    model = Network(tree, 0)
    model.stem.load_state_dict(graph.net.stem.state_dict())
    model.heads.load_state_dict(graph.net.heads.state_dict())
    for layer, routes in enumerate(tree.routes.tolist()):
        for task, group in enumerate(routes):
            stage = graph.net.stages[layer][candidates[layer][task]]
            model.stages[layer][group].load_state_dict(stage.state_dict())
    return model


def test_a_tree_of_the_supergraph_is_the_network_of_the_tree(script):
    tree = BranchingTree.from_routes(ROUTES, script.NAMES)
    graph = different(script.UniformSupergraph(0, [tree]))
    candidates = graph.candidates(tree)
    images = torch.randn(3, 3, 32, 32)
    expected = network_of(graph, tree, candidates)(images)
    found = graph.along(images, candidates)
    one_hot = torch.nn.functional.one_hot(torch.tensor(candidates), 4).float()
    for task, name in enumerate(script.NAMES):
        torch.testing.assert_close(found[name], expected[name])
        torch.testing.assert_close(graph.mixed(images, one_hot, task), expected[name])


def test_a_tree_is_scored_with_batch_statistics_of_its_own(script, tmp_path):
    import scenes_trainings as trainings

    data = script.scenes(tmp_path / 'scenes.npz')
    trees = list(script.enumerate_trees())
    graph = different(script.UniformSupergraph(0, trees))
    graph.candidates = lambda tree: [
        [(group + layer * sum(tree.num_groups)) % 4 for group in groups]
        for layer, groups in enumerate(tree.routes.tolist())
    ]
    scores = graph.scores(data['train'], data['held_out'])
    for tree, found in zip(trees, scores):
        model = network_of(graph, tree, graph.candidates(tree)).train()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        for batch in trainings.batches(0, trainings.RECALIBRATION):
            model(data['train']['image'][batch])
        expected = trainings.log_losses(model, data['held_out'])[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_probes_start_where_shared_stands(script, tmp_path):
    import scenes_trainings as trainings
    from scenes import Network

    data = script.scenes(tmp_path / 'scenes.npz')
    first = Network(BranchingTree.shared(4, script.NAMES), 0)
    optimizer = trainings.adamw(first)
    for batch in trainings.batches(0, 3):
        trainings.log_update(first, optimizer, trainings.chosen(data['train'], batch), 0.5)
    split = Network(BranchingTree.from_routes(ROUTES, script.NAMES), 7)
    own = trainings.adamw(split)
    trainings.inherit(split, own, first, optimizer)
    images = data['held_out']['image']
    for task, logits in first.eval()(images).items():
        torch.testing.assert_close(split.eval()(images)[task], logits)
    state = own.state[split.stages[1][1].conv.weight]
    other = optimizer.state[first.stages[1][0].conv.weight]
    assert state['step'] == 3 and torch.equal(state['exp_avg'], other['exp_avg'])
    assert state['exp_avg'] is not other['exp_avg']


def test_a_higher_price_shares_more(script, tmp_path):
    train = script.scenes(tmp_path / 'scenes.npz')['train']
    shared = []
    for price in (0.0, 100.0):
        graph = script.Supergraph(0, 40)
        shared.append(graph.search(train, script.VARIANTS['as it is'], price)[1].mean())
    assert shared[1] > shared[0] + 0.05


def test_everything_is_done_once_and_the_strategies_play_with_it(script, tmp_path, monkeypatch):
    import compare
    import shapescenes_table as table_script

    table = tmp_path / 'table.npz'
    table_script.train_all(tmp_path, [0, 1], updates=8)
    table_script.pack(tmp_path, table, updates=8)
    options = ['--dir', str(tmp_path), '--table', str(table), '--updates', '8']
    monkeypatch.setattr('sys.argv', ['shapescenes_search.py', *options])
    script.main()
    rows = (tmp_path / 'searches.jsonl').read_text().splitlines()
    assert len(rows) == 2 * (2 * 3 + 2)
    (tmp_path / 'searches.jsonl').write_text('\n'.join(rows[:-1]) + '\n')
    before = compare._beside(table, 'signals')['supergraph']
    script.main()
    again = (tmp_path / 'searches.jsonl').read_text().splitlines()
    assert again[:-1] == rows[:-1] and len(again) == len(rows)
    np.testing.assert_array_equal(compare._beside(table, 'signals')['supergraph'], before)
    assert before.shape == (2, 5, 4)
    found = compare._beside(table, 'searches')
    assert found['routes'].shape == (3, 2, 2, 4, 4)
    assert found['units'].tolist() == pytest.approx([24 + 1, 24 + 1, 48 + 1])
    trials = compare.trials_of(table, budgets=2)
    assert np.isfinite(TreeTable.load(table).probes).all()
    assert all(trial.searches_of('log losses') is not None for trial in trials)
    probes = TreeTable.load(table).probes
    table_script.pack(tmp_path, table, updates=8)  # once more, e.g. with more rows
    np.testing.assert_array_equal(TreeTable.load(table).probes, probes)


def test_variants_of_an_earlier_file_stay(script):
    def file(variants, first):
        values = np.arange(first, first + len(variants))
        names = dict(lambdas=np.array([0.1, 1.0]), seeds=np.array([0, 1]))
        return dict(
            variants=np.array(variants), units=values, routes=values, shared=values, **names
        )

    joined = script.with_earlier(file(['b', 'c'], 10), file(['a', 'b'], 0))
    assert dict(zip(joined['variants'].tolist(), joined['routes'])) == dict(a=0, b=10, c=11)
    assert joined['units'].tolist() == joined['shared'].tolist() == joined['routes'].tolist()
    with pytest.raises(SystemExit, match=r'has the seeds \[0, 1\]; give the same'):
        script.with_earlier(dict(file(['b'], 0), seeds=np.array([0])), file(['a'], 0))


def test_two_candidates_run_for_a_task(script):
    graph = different(script.Supergraph(0, 4))
    mixing = graph.sample(1.0, 2).detach()
    assert torch.equal((mixing > 0).sum(-1), torch.full((4, 4), 2))
    runs = []
    for stage in graph.net.stages:
        for candidate in stage:
            candidate.register_forward_hook(lambda *_: runs.append(1))
    images = torch.randn(2, 3, 32, 32)
    found = graph.mixed(images, mixing, 1)
    assert len(runs) == 8
    # the weighted sum of all, the others' weights being zero
    x, low = graph.net.stem(images), None
    for candidates, weights in zip(graph.net.stages, mixing[:, 1]):
        x = sum(weight * stage(x) for stage, weight in zip(candidates, weights))
        low = x if low is None else low
    torch.testing.assert_close(found, graph.net.heads[script.NAMES[1]](x, low))


def test_planted_variants_keep_their_largest_scores():
    from planted_search import Variant, largest

    scores = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(largest(scores, 0), scores)
    kept, ordered = largest(scores, 2), scores.sort(-1).values
    assert torch.equal(kept.isfinite(), scores >= ordered[..., 2:3])
    assert torch.equal(kept[kept.isfinite()], scores[kept.isfinite()])
    # 4 tasks: 20 cycles of 50 soft updates of 4 x 2 nodes, 100 warm-up updates of 4, of 800
    assert Variant(top_k=2).units(4) == (20 * 50 * 8 + 400) / 800
