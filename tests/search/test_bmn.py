"""BMN: dissimilarities and affinities against numpy and scipy, scores, budgets, the strategy."""

import dataclasses
import itertools
import json
from unittest import mock

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from bmtas.branching import BranchingTree, tree_front
from bmtas.branching.clustering import canonical
from bmtas.branching.partitions import all_partitions
from bmtas.registry import STRATEGIES
from bmtas.search import SearchContext, bmn_search
from bmtas.search.bmn import (
    GroupScores,
    dissimilarity,
    expand,
    location_costs,
    rank_affinity,
    spans,
)
from bmtas.search.bmn_search import BMNSearch, collect_features
from bmtas.search.images import choose_images
from bmtas.typed import accepted_arguments, check_arguments


def random_features(num_images, seed=0):
    """Maps of two locations, float32 with a mean far from 0."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 5, 6), (3, 2, 2)]
    return [torch.randn(num_images, *shape, generator=generator) + 30 for shape in shapes]


@pytest.mark.parametrize('block', [1, 3, 4, 7, 100])
def test_dissimilarity_equals_corrcoef(block):
    maps = random_features(10)
    seen = []

    def features(numbers):
        seen.append(len(numbers))
        return [m[list(numbers)] for m in maps]

    matrices = dissimilarity(features, 10, block)
    for matrix, feature in zip(matrices, maps):
        expected = 1 - np.corrcoef(feature.flatten(1).double().numpy())
        np.testing.assert_allclose(matrix, expected, atol=1e-12)
        assert (matrix.diagonal() == 0).all() and (matrix == matrix.T).all()
    assert max(seen) <= block
    if block >= 10:
        assert seen == [10]


def test_constant_features_correlate_with_nothing():
    feature = torch.randn(4, 6)
    feature[2] = 3.0
    (matrix,) = dissimilarity(lambda numbers: [feature[list(numbers)]], 4, 4)
    assert matrix[2].tolist() == [1, 1, 0, 1]


def test_affinity_equals_spearman_with_ties():
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 5, (3, 2, 8, 8)).astype(float)
    matrices = matrices + matrices.transpose(0, 1, 3, 2)
    affinity = rank_affinity(matrices)
    upper = np.triu_indices(8, 1)
    for location in range(2):
        vectors = matrices[:, location][:, upper[0], upper[1]]
        np.testing.assert_allclose(affinity[location], spearmanr(vectors.T).statistic)
        assert (affinity[location].diagonal() == 1).all()
    matrices[1] = 0
    assert rank_affinity(matrices)[0, 0].tolist()[1] == 0


def random_affinity(locations, num_tasks, seed=0):
    affinity = np.random.default_rng(seed).uniform(0.2, 0.9, (locations, num_tasks, num_tasks))
    affinity = (affinity + affinity.transpose(0, 2, 1)) / 2
    affinity[:, range(num_tasks), range(num_tasks)] = 1
    return affinity


def test_scores_by_hand():
    affinity = np.array([[[1, 0.9, 0.4], [0.9, 1, 0.6], [0.4, 0.6, 1]]])
    by_row = {tuple(row): i for i, row in enumerate(all_partitions(3).tolist())}
    for weight, expected in (
        ('clusters', {(0, 0, 0): 0.6, (0, 0, 1): 0.05, (0, 1, 0): 0.3, (0, 1, 2): 0.0}),
        ('tasks', {(0, 0, 0): 0.6, (0, 0, 1): 0.2 / 3, (0, 1, 0): 0.4, (0, 1, 2): 0.0}),
    ):
        scores = GroupScores(affinity, weight).table(all_partitions(3))
        for row, value in expected.items():
            assert scores[0, by_row[row]] == pytest.approx(value)


@pytest.mark.parametrize('weight', ['clusters', 'tasks'])
@pytest.mark.parametrize('num_tasks', [1, 4, 12])
def test_scores_against_a_plain_loop(weight, num_tasks):
    affinity = random_affinity(3, num_tasks)
    rng = np.random.default_rng(0)
    rows = canonical(rng.integers(0, 5, (200, num_tasks)))
    scores = GroupScores(affinity, weight)

    def plain(matrix, row):
        groups = [np.flatnonzero(row == block) for block in range(row.max() + 1)]
        worst = [max(1 - matrix[i, j] for i in g for j in g) for g in groups]
        shares = [len(g) / num_tasks if weight == 'tasks' else 1 / len(groups) for g in groups]
        return np.dot(worst, shares)

    expected = [[plain(matrix, row) for row in rows] for matrix in affinity]
    np.testing.assert_allclose(scores.table(rows), expected, atol=1e-11)
    for row in rows[:5]:
        merged = scores.of_merged(row)
        for a, b in itertools.combinations(range(row.max() + 1), 2):
            other = canonical(np.where(row == b, a, row)[None])[0]
            found = [plain(matrix, other) for matrix in affinity]
            np.testing.assert_allclose(merged[:, a, b], found, atol=1e-11)


def planted_affinity(num_tasks, seed):
    """A tree of five locations, and affinities of 1 within its groups only."""
    rng = np.random.default_rng(seed)
    halves = rng.integers(0, 2, (3, num_tasks))
    routes = np.stack([0 * halves[0], halves[0], halves[0], halves[:2].T @ [2, 1],
                       halves.T @ [4, 2, 1]])  # fmt: skip
    tree = BranchingTree.from_routes(routes, [f't{i}' for i in range(num_tasks)])
    together = tree.routes[:, :, None] == tree.routes[:, None, :]
    other = random_affinity(5, num_tasks, seed)
    return tree, np.where(together, 1.0, other)


@pytest.mark.parametrize('num_tasks', [10, 20, 40])
def test_beam_finds_a_planted_tree_of_many_tasks(num_tasks):
    """It has score 0 at its cost, and all other trees of score 0 refine it and cost more."""
    tree, affinity = planted_affinity(num_tasks, seed=num_tasks)
    costs = [50, 40, 30, 20, 10]
    front = tree_front(costs, GroupScores(affinity), tree.tasks, method='beam', beam_width=10)
    budget = sum(c * n for c, n in zip(costs, tree.num_groups))
    assert front.tree(front.best(budget)) == tree and front.scores[front.best(budget)] == 0
    assert front.scores[front.best(budget - 1)] > 0
    assert front.tree(front.best(sum(costs))) == BranchingTree.shared(5, tree.tasks)


@pytest.mark.parametrize('width, mean, worst', [(5, 0.02, 0.1), (20, 0.005, 0.05)])
def test_beam_is_near_the_exact_optimum(width, mean, worst):
    """Seven tasks, 877 partitions, of which a beam of 20 keeps at most 102."""
    excess = []
    for seed in range(4):
        affinity, costs = random_affinity(10, 7, seed), np.arange(10, 110, 10)
        tasks = [f't{i}' for i in range(7)]
        exact = tree_front(costs, GroupScores(affinity), tasks)
        found = tree_front(costs, GroupScores(affinity), tasks, method='beam', beam_width=width)
        for budget in np.linspace(1.05, 6.5, 15) * costs.sum():
            best = exact.scores[exact.best(budget)]
            excess.append(found.scores[found.best(budget)] / best - 1)
    assert min(excess) > -1e-9 and np.mean(excess) < mean and max(excess) < worst


@pytest.mark.parametrize('num_tasks, num_layers', [(2, 7), (3, 7), (4, 5)])
def test_best_trees_equal_those_of_an_exhaustive_search(num_tasks, num_layers):
    affinity = random_affinity(num_layers, num_tasks)
    costs = np.random.default_rng(1).integers(5, 50, num_layers)
    tasks = [f't{i}' for i in range(num_tasks)]
    front, oracle = (
        tree_front(costs, GroupScores(affinity), tasks, method=m) for m in ('dp', 'exhaustive')
    )
    assert np.array_equal(front.costs, oracle.costs)
    assert np.array_equal(front.scores, oracle.scores)


def test_budgets_at_their_extremes():
    affinity, costs, tasks = random_affinity(6, 4), [5, 6, 2, 8, 9, 1], tuple('abcd')
    front = tree_front(costs, GroupScores(affinity), tasks)
    assert front.tree(front.best(sum(costs))) == BranchingTree.shared(6, tasks)
    last = front.best(4 * sum(costs))
    assert front.scores[last] == 0 and front.tree(last) == BranchingTree.separate(6, tasks)


def test_stages():
    ends, num_layers = [0, 2, 5], 8
    lengths = spans(ends, num_layers)
    assert lengths == [1, 2, 5] and spans(range(8), 8) == [1] * 8
    costs = list(range(1, 9))
    assert location_costs(costs, lengths) == [1, 5, 30]
    tree = BranchingTree.from_routes([[0, 0], [0, 0], [0, 1]], 'ab')
    assert expand(tree, lengths).num_groups == (1, 1, 1, 2, 2, 2, 2, 2)
    affinity = random_affinity(4, 5)
    assert len(tree_front([1, 1, 1, 1], GroupScores(affinity), method='exhaustive')) > 1


def copy_network(path, source, target):
    """Give one task the encoder of another."""
    content = torch.load(path, weights_only=True)
    state = content['state_dict']
    for key in list(state):
        parts = key.split('.')
        if source in parts and parts[0] == 'encoder':
            copied = '.'.join(target if part == source else part for part in parts)
            state[copied] = state[key].clone()
    torch.save(content, path)


def test_strategy_groups_identical_networks(make_context, make_checkpoint, with_budget):
    context = make_context()
    checkpoint = make_checkpoint(context, type='SingleTaskEncoder')
    copy_network(checkpoint, 'semseg', 'edge')
    separate = BranchingTree.separate(18, context.names).cost(context.table)
    options = dict(type='BMNSearch', num_images=6, block=4)
    strategy = STRATEGIES.build(dict(options, checkpoint=checkpoint))
    with mock.patch.object(bmn_search, 'draw_affinity', wraps=bmn_search.draw_affinity) as draw:
        result = strategy.run(with_budget(context, separate))
    assert draw.call_args.args[-1].layers == tuple(context.table.layer_names)
    tree, front = result.tree, result.front
    content = json.loads((context.work_dir / 'affinity.json').read_text())
    affinity = np.array(content['affinity'])
    assert affinity.shape == (18, 3, 3) and content['locations'][-1] == 'aspp'
    semseg, edge = (context.names.index(name) for name in ('semseg', 'edge'))
    assert (affinity[:, semseg, edge] > 1 - 1e-9).all()
    assert (affinity[:, semseg, 1] < 1).any()
    # the twins need no branch of their own
    assert tree.cost(context.table) < separate
    assert all(('semseg', 'edge') in groups for groups in tree.groups if len(groups) > 1)
    assert front.scores[-1] == pytest.approx(0, abs=1e-9)
    assert (context.work_dir / 'vis' / 'affinity.png').is_file()

    # another budget from the stored affinity, by every method
    affinity_file = str(context.work_dir / 'affinity.json')
    shared = BranchingTree.shared(18, context.names)
    budget = shared.cost(context.table)
    for method in ('dp', 'exhaustive', 'beam'):
        again = STRATEGIES.build(dict(type='BMNSearch', affinity=affinity_file, method=method))
        assert again.run(with_budget(context, budget)).tree == shared
        with pytest.raises(ValueError, match='is below what trees cost'):
            again.run(with_budget(context, budget - 1))
    staged = dict(type='BMNSearch', affinity=affinity_file, locations='stages')
    with pytest.raises(ValueError, match='has 18 locations'):
        STRATEGIES.build(staged).run(with_budget(context, budget))


def test_strategy_for_twelve_tasks(make_context, tmp_path, with_budget):
    """Three kinds of tasks, alike within a kind: with room for three branches these are found."""
    context = make_context()
    tasks = tuple(dataclasses.replace(context.tasks[i % 3], name=f't{i:02d}') for i in range(12))
    heads = dict.fromkeys([task.name for task in tasks], 100)
    table = dataclasses.replace(context.table, heads=heads)
    context = SearchContext(context.cfg, context.work_dir)
    vars(context).update(tasks=tasks, table=table)
    kinds = np.arange(12) % 3
    affinity = np.tile(np.where(kinds[:, None] == kinds, 1.0, 0.3), (18, 1, 1))
    content = dict(tasks=list(context.names), affinity=affinity.tolist())
    (tmp_path / 'affinity.json').write_text(json.dumps(content))
    three = BranchingTree.from_routes(np.tile(kinds, (18, 1)), context.names)
    context = with_budget(context, three.cost(table))
    options = dict(type='BMNSearch', affinity=str(tmp_path / 'affinity.json'))
    result = STRATEGIES.build(dict(options, method='beam')).run(context)
    assert result.tree == three
    assert result.front.costs[-1] == three.cost(table) and result.front.scores[-1] == 0
    with pytest.raises(ValueError, match="'dp' takes up to 9 tasks, there are 12; use 'beam'"):
        STRATEGIES.build(options).run(context)


def test_stages_branch_between_stages_only(make_context, make_checkpoint, with_budget):
    context = make_context()
    parts = [make_checkpoint(context, seed, type='SingleTaskEncoder') for seed in (0, 1)]
    budget = 0.8 * BranchingTree.separate(18, context.names).cost(context.table)
    strategy = STRATEGIES.build(
        dict(
            type='BMNSearch',
            checkpoint=parts,
            locations='stages',
            num_images=5,
            pool=2,
        )
    )
    tree = strategy.run(with_budget(context, budget)).tree
    assert tree.cost(context.table) <= budget
    changes = set(np.flatnonzero(np.diff(tree.num_groups)))
    assert changes <= set(context.of_backbone('stage_ends', ''))


def test_features_are_those_of_the_layers(make_context, make_checkpoint):
    context = make_context()
    checkpoint = make_checkpoint(context, type='SingleTaskEncoder')
    model = context.model(dict(type='SingleTaskEncoder'), checkpoint)
    images = torch.randn(2, 3, 32, 32).to(next(model.parameters()).device)
    found = collect_features(model, images, 'normals', [0, 2, 17])
    x = model.encoder.stems['normals'](images)
    for layer in range(18):
        x = model.encoder.layers[layer]['normals'](x)
        if layer in (0, 2, 17):
            torch.testing.assert_close(found[(0, 2, 17).index(layer)], x)
    assert not any(layer['normals']._forward_hooks for layer in model.encoder.layers)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(), 'either checkpoint or affinity'),
        (dict(locations='some'), "search.locations: 'some' is none of 'all', 'stages'"),
        (dict(weight='means'), "search.weight: 'means' is none of"),
        (dict(split='test'), "search.split: 'test' is none of 'train', 'val'"),
        (dict(block=0), 'search.block: must be at least 1'),
        (dict(pool=0), 'search.pool: must be at least 1'),
        (dict(seed=-1), 'search.seed: must be at least 0'),
        (dict(method='best'), "search.method: 'best' is none of"),
        (dict(beam_width=0), 'search.beam_width: must be at least 1'),
    ],
)
def test_faulty_options(options, message):
    with pytest.raises(ValueError, match=message):
        check_arguments(options, accepted_arguments(BMNSearch), 'search')
        BMNSearch(**options)


def test_two_images_say_nothing_of_ranks():
    assert choose_images(3, 2**9, 0) == [0, 1, 2] and choose_images(4, None, 0) == [0, 1, 2, 3]
    for available, wanted in ((1, None), (2, None), (100, 2)):
        with pytest.raises(ValueError, match='num_images: at least 3 are needed, there would be'):
            choose_images(available, wanted, 0)
