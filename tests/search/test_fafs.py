"""FAFS: affinities, the greedy tree, its limits; difficulty of images; the strategy."""

import json
import math

import numpy as np
import pytest
import torch

from bmtas.branching import BranchingTree
from bmtas.branching.partitions import all_partitions
from bmtas.kinds import Classes, Depth, Mask, Normals
from bmtas.registry import STRATEGIES
from bmtas.search.fafs import (
    Separation,
    greedy_tree,
    group_affinity,
    merge_children,
    sweep,
    task_affinity,
)
from bmtas.search.fafs_search import FAFSSearch
from bmtas.typed import accepted_arguments, check_arguments

STRIDES = [8.0, 4, 4, 2, 2, 2] + [1.0] * 12
TASKS = tuple('abcde')


def random_affinity(num_tasks, seed, images=200):
    rng = np.random.default_rng(seed)
    common = rng.random((images, 1))
    return task_affinity(common + rng.random((images, num_tasks)) * rng.random(num_tasks) * 2)


def test_task_affinity_by_hand():
    nan = np.nan
    difficulty = np.array([[0, 10, nan], [1, 30, 2], [5, 50, 4], [6, 20, 6]])
    # means 3, 27.5, 4; hard: 0011, 0110, -011
    affinity = task_affinity(difficulty)
    assert np.allclose(affinity, [[1, 0.5, 1.0], [0.5, 1, 1 / 3], [1.0, 1 / 3, 1]])


def test_equal_columns_have_affinity_one_and_scale_does_not_matter():
    column = np.random.default_rng(0).random(50)
    affinity = task_affinity(np.stack([column, 100 * column + 3, -column], 1))
    assert affinity[0, 1] == 1 and affinity[0, 2] == 0
    assert affinity[0, 0] == 1
    empty = task_affinity(np.stack([column, np.full(50, np.nan)], 1))
    assert empty[0, 1] == 0 and empty[1, 1] == 1


def test_group_affinity_against_loops():
    affinity = random_affinity(5, 0)
    groups = [(0, 3), (1,), (2, 4)]
    result = group_affinity(affinity, groups)
    for a, first in enumerate(groups):
        for b, second in enumerate(groups):
            one = np.mean([min(affinity[i, j] for j in second) for i in first])
            two = np.mean([min(affinity[i, j] for j in first) for i in second])
            assert result[a, b] == pytest.approx((one + two) / 2)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('alpha', [0.5, 5.0, 20.0])
def test_merging_is_the_minimum_over_all_partitions(seed, alpha):
    affinity = random_affinity(5, seed)
    children = [(0, 2), (1,), (3,), (4,)]
    between = group_affinity(affinity, children)

    def objective(groups):
        apart = [
            1 - np.mean([min(between[k, j] for j in group) for k in group]) for group in groups
        ]
        return (len(groups) - 1) * 2.0 + alpha * sum(apart) / len(groups)

    options = [
        [np.flatnonzero(row == g).tolist() for g in range(row.max() + 1)]
        for row in all_partitions(4)
    ]
    expected = min(options, key=objective)
    found = merge_children(affinity, children, 2.0, alpha)
    merged = sorted(tuple(sorted(t for k in group for t in children[k])) for group in expected)
    assert found == merged


@pytest.mark.parametrize('seed', range(3))
def test_limits_of_alpha_and_nestedness(seed):
    affinity = random_affinity(5, seed)
    assert greedy_tree(affinity, STRIDES, 0.0, TASKS) == BranchingTree.shared(18, TASKS)
    assert greedy_tree(affinity, STRIDES, 1e6, TASKS) == BranchingTree.separate(18, TASKS)
    for alpha in np.geomspace(0.1, 200, 25):
        tree = greedy_tree(affinity, STRIDES, alpha, TASKS)
        assert list(tree.num_groups) == sorted(tree.num_groups)
        # prices change after these layers only, so that nothing else can be a branching point
        changes = np.flatnonzero(np.diff(tree.num_groups)) + 1
        assert set(changes) <= {1, 3, 6}


def test_alike_tasks_stay_together_longest():
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 500, 1))
    noise = 0.05 * rng.random((500, 4))
    difficulty = np.concatenate([first, second, first, second], 1) + noise
    affinity = task_affinity(difficulty)
    trees = [tree for _, tree in sweep(affinity, STRIDES, 'abcd', np.geomspace(0.1, 1e5, 80))]
    pairs = BranchingTree.from_routes([[0, 1, 0, 1]] * 18, 'abcd')
    assert pairs in trees
    assert trees[0] == BranchingTree.shared(18, 'abcd')
    assert trees[-1] == BranchingTree.separate(18, 'abcd')
    assert len(trees) == len(set(trees))


def test_many_tasks_are_clustered():
    rng = np.random.default_rng(0)
    base = rng.random((300, 3))
    difficulty = np.repeat(base, 4, axis=1) + 0.05 * rng.random((300, 12))
    children = [(t,) for t in range(12)]
    groups = merge_children(task_affinity(difficulty), children, 1.0, 8.0)
    assert groups == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11)]
    tree = greedy_tree(task_affinity(difficulty), [1.0] * 3, 1e6, [f't{i}' for i in range(12)])
    assert tree.num_groups == (12,) * 3


@pytest.mark.parametrize('seed', range(3))
def test_clustering_is_near_the_best_of_all_groupings(seed):
    """Nine children: more than are enumerated by default, few enough to enumerate here."""
    affinity = random_affinity(9, seed)
    children = [(t,) for t in range(9)]
    separation = Separation(group_affinity(affinity, children))
    rows = all_partitions(9)
    apart, counts = separation.table(rows)[0], rows.max(1)

    def objective(groups, alpha):
        row = [next(i for i, g in enumerate(groups) if t in g) for t in range(9)]
        index = np.flatnonzero((rows == row).all(1))[0]
        return counts[index] + alpha * apart[index]

    excess = []
    for alpha in np.geomspace(1, 300, 12):
        found = objective(merge_children(affinity, children, 1.0, alpha), alpha)
        excess.append(found / (counts + alpha * apart).min() - 1)
    assert min(excess) > -1e-9 and np.mean(excess) < 0.01 and max(excess) < 0.05


def metric_difficulty(kind, logits, target):
    return kind.error(kind.activate(logits)[0], target[0])


def test_difficulty_of_images_by_hand():
    classes = torch.tensor([[[0, 0, 1], [1, 255, 2]]])
    logits = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 1], [1, 0, 0]]]), 4)
    logits = logits.permute(0, 3, 1, 2).float()
    # class 0: 1 of 3, class 1: 2 of 3, class 2: 0 of 1
    difficulty = metric_difficulty(Classes(4), logits, classes)
    assert difficulty == pytest.approx(1 - (1 / 3 + 2 / 3 + 0) / 3)

    mask = torch.tensor([[[1, 1, 0, 255]]])
    logits = torch.tensor([[[[3.0, -3.0, 3.0, 3.0]]]])
    assert metric_difficulty(Mask(), logits, mask) == pytest.approx(2 / 3)
    none = torch.tensor([[[0, 0, 0, 0]]])
    assert metric_difficulty(Mask(), -logits.abs(), none) == 0

    depth = torch.tensor([[[2.0, 0.0, 1.0]]])
    logits = torch.tensor([[[[3.0, 9.0, 3.0]]]])
    assert metric_difficulty(Depth(), logits, depth) == pytest.approx(2.5**0.5)

    normals = torch.tensor([[0.0, 0, 1], [0, 0, 0], [1, 0, 0]]).T.reshape(1, 3, 1, 3)
    logits = torch.tensor([[0.0, 0, 5], [1, 1, 1], [0, 2, 0]]).T.reshape(1, 3, 1, 3)
    assert metric_difficulty(Normals(), logits, normals) == pytest.approx(45, 1e-4)


@pytest.mark.parametrize(
    'kind, target',
    [
        (Classes(3), torch.full((1, 2, 2), 255)),
        (Depth(), torch.zeros(1, 2, 2)),
        (Normals(), torch.zeros(1, 3, 2, 2)),
    ],
)
def test_no_label_is_nan(kind, target):
    logits = torch.zeros(1, kind.channels, 2, 2)
    assert math.isnan(metric_difficulty(kind, logits, target))


def test_strategy(make_context, make_checkpoint, with_budget):
    context = make_context()
    checkpoint = make_checkpoint(context, type='BranchedEncoder', routes='shared')
    options = dict(type='FAFSSearch', num_images=8, difficulty=dict(edge='loss'))
    shared, separate = (
        build(18, context.names).cost(context.table)
        for build in (BranchingTree.shared, BranchingTree.separate)
    )
    budget = (shared + separate) // 2
    context = with_budget(context, budget)
    tree = STRATEGIES.build(dict(options, checkpoint=checkpoint)).run(context).tree
    listed = json.loads((context.work_dir / 'sweep.json').read_text())
    costs = [entry['cost'] for entry in listed['trees']]
    assert costs[0] == shared and len(costs) > 2
    distance = abs(tree.cost(context.table) - budget)
    assert distance == min(abs(cost - budget) for cost in costs)
    difficulty = np.load(context.work_dir / 'difficulty.npy')
    assert difficulty.shape == (8, 3) and np.isfinite(difficulty).all()
    # the measured affinity serves another budget and another price without a network
    affinity = str(context.work_dir / 'affinity.json')
    again = STRATEGIES.build(dict(type='FAFSSearch', affinity=affinity, branch_cost='resource'))
    assert again.run(with_budget(context, shared)).tree == BranchingTree.shared(18, context.names)
    # a budget just below a tree: the nearest costs more, the one within is the next cheaper
    below = with_budget(context, sorted(costs)[2] - 1)
    chosen = {}
    for rule in ('nearest', 'at_most'):
        strategy = STRATEGIES.build(dict(type='FAFSSearch', affinity=affinity, rule=rule))
        chosen[rule] = strategy.run(below).tree.cost(context.table)
    assert chosen == dict(nearest=sorted(costs)[2], at_most=sorted(costs)[1])


def test_faulty_options(make_context, make_checkpoint, tmp_path, with_budget):
    context = with_budget(make_context(), '20M')

    def run(**options):
        return STRATEGIES.build(dict(type='FAFSSearch', **options)).run(context)

    with pytest.raises(ValueError, match='either checkpoint or affinity'):
        run()
    with pytest.raises(ValueError, match='budget: missing'):
        STRATEGIES.build(dict(type='FAFSSearch', checkpoint='x')).run(make_context())
    for options, message in (
        (dict(branch_cost='stride'), "search.branch_cost: 'stride' is none of"),
        (dict(split='test'), "search.split: 'test' is none of 'train', 'val'"),
        (dict(alphas=[0.0, 1.0, 3]), 'search.alphas.0: must be greater than 0'),
        (dict(alphas=[0.1, 1.0]), 'search.alphas: must have 3 entries'),
        (dict(difficulty=dict(edge='area')), "search.difficulty.edge: 'area' is none of"),
    ):
        with pytest.raises(ValueError, match=message):
            check_arguments(options, accepted_arguments(FAFSSearch), 'search')
    with pytest.raises(FileNotFoundError, match='nothing.pth does not exist'):
        run(checkpoint='nothing.pth')
    with pytest.raises(ValueError, match="search.difficulty: no task 'edges'; did you mean 'edge'"):
        run(checkpoint='x', difficulty=dict(edges='loss'))
    with pytest.raises(ValueError, match='does not fit BranchedEncoder: .* missing'):
        run(checkpoint=make_checkpoint(context, type='SingleTaskEncoder'))
    bad = tmp_path / 'bad.pth'
    bad.write_bytes(b'no checkpoint')
    with pytest.raises(ValueError, match='bad.pth cannot be loaded'):
        run(checkpoint=str(bad))
    file = tmp_path / 'affinity.json'
    file.write_text(json.dumps(dict(tasks=['x'], affinity=[[[1.0]]])))
    with pytest.raises(ValueError, match=r"is for tasks \['x'\]"):
        run(affinity=str(file))
    content = dict(tasks=list(context.names), affinity=[np.eye(3).tolist()] * 2)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match='affinity.json has 2 locations, it is of another strat'):
        run(affinity=str(file))
    file.write_text('[]')
    with pytest.raises(ValueError, match='affinity.json: list indices'):
        run(affinity=str(file))
