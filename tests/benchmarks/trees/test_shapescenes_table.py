import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from bmtas.branching import BranchingTree
from bmtas.models.losses import CrossEntropyLoss, DepthL1Loss, NormalsL1Loss, WeightedBCELoss


@pytest.fixture
def small(monkeypatch):
    """Few scenes, trees and updates."""
    import scenes
    import shapescenes_table as script

    splits = {'train': ('train', 40), 'held_out': ('val', 4), 'test': ('test', 6)}
    monkeypatch.setattr(scenes, 'SPLITS', splits)
    monkeypatch.setattr(script, 'TRAINING_SCENES', 40)
    trees = list(script.enumerate_trees(4, tuple(scenes.TASKS)))[:5]
    monkeypatch.setattr(script, 'enumerate_trees', lambda *_: iter(trees))
    return script


def test_rows_are_added_until_all_are_there_and_packed(small, tmp_path, capsys):
    small.train_all(tmp_path, [0, 1], updates=8, block=2)
    path = tmp_path / 'rows.jsonl'
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row['seed'] for row in rows] == [0, 0, 1, 1, 0, 0, 1, 1, 0, 1]
    path.write_text('\n'.join(path.read_text().splitlines()[:7]) + '\n{"tree": 3, "se')
    small.train_all(tmp_path, [0, 1], updates=8, block=2)
    again = [json.loads(line) for line in path.read_text().splitlines()]
    for row in (*rows, *again):
        row.pop('seconds')
    assert again == rows

    from bmtas.search.tree_table import TreeTable

    small.pack(tmp_path, tmp_path / 'table.npz', updates=8)
    table = TreeTable.load(tmp_path / 'table.npz')
    assert table.trained.tolist() == [[True, True]] * 5
    row = next(row for row in rows if (row['tree'], row['seed']) == (2, 1))
    np.testing.assert_allclose(table.test[2, 1], row['test'], rtol=1e-6)
    np.testing.assert_allclose(table.held_out[2, 1], row['held_out'], rtol=1e-6)


def test_an_empty_folder_cannot_be_packed(small, tmp_path):
    with pytest.raises(SystemExit, match='no rows'):
        small.pack(tmp_path, tmp_path / 'table.npz')


def test_networks_of_one_seed_differ_by_their_tree_alone():
    from scenes import TASKS, Network

    tasks, images = tuple(TASKS), torch.randn(2, 3, 32, 32)
    shared = Network(BranchingTree.shared(4, tasks), 3).eval()
    separate = Network(BranchingTree.separate(4, tasks), 3).eval()
    for task, logits in shared(images).items():
        assert logits.shape == (2, TASKS[task], 32, 32)
        torch.testing.assert_close(separate(images)[task], logits)
    assert not torch.equal(Network(shared.tree, 4).eval()(images)['depth'], shared(images)['depth'])


def test_a_task_reads_its_own_stages_only():
    from scenes import TASKS, Network

    tree = BranchingTree.from_routes([[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 2, 1], [0, 1, 2, 3]])
    model = Network(BranchingTree.from_routes(tree.routes, tuple(TASKS)), 0)
    model(torch.randn(2, 3, 32, 32))['depth'].sum().backward()
    used = [[stage.conv.weight.grad is not None for stage in copies] for copies in model.stages]
    assert used == [[True], [True, False], [False, False, True], [False, False, True, False]]


def test_losses_are_those_of_the_package():
    from scenes import losses

    torch.manual_seed(0)
    logits = {
        'semseg': torch.randn(2, 10, 8, 8),
        'normals': torch.randn(2, 3, 8, 8),
        'depth': torch.randn(2, 1, 8, 8),
        'edge': torch.randn(2, 1, 8, 8),
    }
    labels = {
        'semseg': torch.randint(0, 10, (2, 8, 8)),
        'normals': F.normalize(torch.randn(2, 3, 8, 8), dim=1),
        'depth': torch.rand(2, 8, 8) + 1,
        'edge': torch.randint(0, 2, (2, 8, 8)).float(),
    }
    expected = [
        CrossEntropyLoss(dict(type='classes', num_classes=10))(logits['semseg'], labels['semseg']),
        NormalsL1Loss('normals')(logits['normals'], labels['normals']),
        DepthL1Loss('depth')(logits['depth'], labels['depth']),
        WeightedBCELoss('mask', pos_weight=0.95)(logits['edge'], labels['edge'].long()),
    ]
    torch.testing.assert_close(losses(logits, labels), torch.stack(expected))


def test_costs_are_what_a_counter_counts():
    from fvcore.nn import FlopCountAnalysis
    from scenes import TASKS, Network, costs

    stem, layers, heads = costs()
    tasks = tuple(TASKS)
    for tree in (BranchingTree.shared(4, tasks), BranchingTree.separate(4, tasks)):
        counted = FlopCountAnalysis(Network(tree, 0).eval(), torch.zeros(1, 3, 32, 32))
        counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        convolutions = counted.by_operator()['conv']
        expected = stem + np.dot(layers, tree.num_groups) + heads
        assert convolutions == expected


def test_metrics_of_perfect_and_of_shifted_predictions():
    from scenes import TASKS, metrics

    semseg = torch.arange(2 * 64).view(2, 8, 8) % TASKS['semseg']
    normals = F.normalize(torch.randn(2, 3, 8, 8), dim=1)
    edge = (torch.arange(2 * 64).view(2, 8, 8) % 3 == 0).float()
    labels = dict(semseg=semseg, normals=normals, depth=torch.ones(2, 8, 8), edge=edge)
    logits = dict(
        semseg=F.one_hot(semseg, TASKS['semseg']).permute(0, 3, 1, 2).float(),
        normals=2 * normals,
        depth=torch.ones(2, 1, 8, 8),
        edge=10 * (edge[:, None] - 0.5),
    )
    assert metrics(logits, labels) == pytest.approx([100, 0, 0, 1], abs=0.1)
    logits = dict(logits, depth=logits['depth'] + 0.5, normals=-normals)
    assert metrics(logits, labels) == pytest.approx([100, 180, 0.5, 1], abs=0.1)


def test_shorter_trainings_and_affinities_stand_beside_the_table(small, tmp_path, monkeypatch):
    import compare
    import scenes
    import shapescenes_signals as script

    from bmtas.search.tree_table import TreeTable

    small.train_all(tmp_path, [0, 1], updates=8)
    small.train_all(tmp_path, [0, 1], updates=4, count=3)
    small.pack(tmp_path, tmp_path / 'table.npz', updates=8)
    monkeypatch.setattr(script, 'optimise', lambda *args: small.optimise(*args[:-1], 8))
    options = ['--dir', str(tmp_path), '--table', str(tmp_path / 'table.npz')]
    monkeypatch.setattr('sys.argv', ['shapescenes_signals.py', *options])
    script.main()
    small.pack(tmp_path, tmp_path / 'table.npz', updates=8)  # keeps the affinities
    found = compare._beside(tmp_path / 'table.npz', 'signals')
    assert found['short'].shape == (2, 1, 5, 4) and found['shares'].tolist() == [0.5]
    rows = small.read_rows(tmp_path / 'rows.jsonl')
    row = next(r for r in rows if (r['tree'], r['seed'], r['updates']) == (rows[0]['tree'], 1, 4))
    np.testing.assert_allclose(found['short'][1, 0, row['tree']], row['held_out'][-1], rtol=1e-6)
    assert np.isnan(found['short']).any((1, 3)).sum() == 4

    from protocol import Trial

    table = TreeTable.load(tmp_path / 'table.npz')
    assert Trial(table, 0, signals=found).short(0.5) is None
    trained = sorted({row['tree'] for row in rows if row['updates'] == 4})
    assert Trial(table, 0, signals=compare._of_trees(found, trained)).short(0.5).shape == (3, 4)

    # by hand: the second stage of the separate networks for depth and edge
    data = scenes.scenes(tmp_path / 'scenes.npz')
    single = scenes.Network(BranchingTree.separate(4, tuple(scenes.TASKS)), 1)
    for _ in small.optimise(single, 1, data, 8):
        pass
    single.eval()
    distances, images = [], data['train']['image']
    with torch.no_grad():
        for task in (2, 3):
            x = single.stages[1][task](single.stages[0][task](single.stem(images)))
            matrix = np.corrcoef(x.flatten(1).double().numpy())
            distances.append(1 - matrix[np.triu_indices(len(images), 1)])
    assert found['representation'][1, 1, 2, 3] == pytest.approx(
        spearmanr(*distances).statistic, abs=1e-5
    )
    assert found['difficulty'].shape == (2, 4, 4) and found['branch_costs'].tolist() == [2, 1, 1, 1]
