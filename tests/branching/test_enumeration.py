"""Counts against enumeration and known values; draws against the uniform distribution."""

import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import chisquare

from bmtas.branching import (
    BranchingTree,
    TreesAtCost,
    count_trees,
    enumerate_trees,
    index_at_cost,
    num_permutations,
    permutations,
    uniform_tree,
    uniform_tree_at_cost,
    vanilla_tree,
    vanilla_tree_at_cost,
)
from bmtas.branching.enumeration import tree_chains
from bmtas.branching.partitions import all_partitions, num_blocks, refinements


def test_partitions_and_refinements():
    bell = [1, 2, 5, 15, 52, 203, 877, 4140]
    pairs = [1, 3, 12, 60, 358, 2471, 19302, 167894]
    for num, (partitions, related) in enumerate(zip(bell, pairs), 1):
        assert len(all_partitions(num)) == partitions
        assert len(refinements(num)[0]) == related
    rows = [tuple(row) for row in all_partitions(4).tolist()]
    assert rows == sorted(set(rows))
    assert num_blocks(4).tolist() == [len(set(row)) for row in rows]

    def refines(fine, coarse):
        return all(coarse[i] == coarse[j] for i in range(4) for j in range(4) if fine[i] == fine[j])

    expected = {(a, b) for a in range(15) for b in range(15) if refines(rows[b], rows[a])}
    assert set(zip(*(array.tolist() for array in refinements(4)))) == expected
    with pytest.raises(ValueError, match='1 to 9 tasks only, got 10'):
        all_partitions(10)


@pytest.mark.parametrize(
    'size, count',
    [
        ((3, 3), 22),
        ((5, 3), 51),
        ((18, 5), 904_894),
        ((17, 4), 16_695),
        ((17, 5), 725_748),
        ((18, 4), 19_684),
        ((18, 3), 532),
        ((17, 3), 477),
        ((4, 4), 315),
        ((3, 4), 154),
        ((4, 5), 3_455),
        ((18, 6), 49_690_795),
        ((18, 7), 3_171_758_350),
        ((11, 2), 12),
    ],
)
def test_counts(size, count):
    assert count_trees(*size) == count


@pytest.mark.parametrize('size', [(1, 3), (2, 2), (2, 3), (1, 4), (2, 4)])
def test_all_tables_of_routes_give_the_enumerated_trees(size):
    num_layers, num_tasks = size
    tasks = [f'task{t}' for t in range(num_tasks)]
    listed = list(enumerate_trees(num_layers, tasks))
    rows = list(itertools.product(range(num_tasks), repeat=num_tasks))
    tables = itertools.product(rows, repeat=num_layers) if len(rows) ** num_layers < 1000 else ()
    found = {BranchingTree.from_routes(table) for table in tables}
    assert len(listed) == len(set(listed)) == count_trees(num_layers, num_tasks)
    assert not found or found == set(listed)
    assert listed[0] == BranchingTree.shared(num_layers, tasks)
    assert listed[-1] == BranchingTree.separate(num_layers, tasks)


def test_chains_are_the_enumerated_trees():
    tasks = ('a', 'b', 'c', 'd')
    chains = tree_chains(3, 4)
    trees = {BranchingTree.from_routes(all_partitions(4)[chain], tasks) for chain in chains}
    assert trees == set(enumerate_trees(3, tasks)) and len(chains) == len(trees)
    with pytest.raises(ValueError, match='49,690,795 trees'):
        tree_chains(18, 6)


def test_uniform_trees_are_uniform():
    trees = list(enumerate_trees(2, 'abcd'))
    draws = Counter(uniform_tree(2, 'abcd', seed) for seed in range(6000))
    assert chisquare([draws[tree] for tree in trees]).pvalue > 1e-3
    assert uniform_tree(5, 'abc', 1) == uniform_tree(5, 'abc', 1)


def test_uniform_tree_of_forty_tasks_and_mean_cost(mobilenet_pascal):
    tree = uniform_tree(18, [f't{i}' for i in range(40)], 0)
    assert tree.num_tasks == 40 and tree.num_layers == 18
    tasks = tuple(mobilenet_pascal.heads)
    costs = [uniform_tree(18, tasks, seed).cost(mobilenet_pascal) / 1e9 for seed in range(500)]
    assert abs(np.mean(costs) - 12.03) < 4.5 * np.std(costs) / 500**0.5


@pytest.mark.parametrize('target, count', [(7.5e9, 695), (9.1e9, 11_210), (12.5e9, 124_262)])
def test_trees_within_two_percent(mobilenet_pascal, target, count):
    tasks = tuple(mobilenet_pascal.heads)
    trees = TreesAtCost(mobilenet_pascal, tasks, target)
    assert trees.count == count
    for seed in range(5):
        cost = trees.sample(seed).cost(mobilenet_pascal)
        assert abs(cost - target) <= 0.02 * target


def test_trees_at_a_cost_are_uniform():
    table = SimpleNamespace(stem=2, layers=(3.5, 1.0, 2.0), heads=dict.fromkeys('abcd', 1.0))
    near = [tree for tree in enumerate_trees(3, 'abcd') if abs(tree.cost(table) - 20) <= 2]
    trees = TreesAtCost(table, 'abcd', 20, 0.1)
    assert trees.count == len(near)
    draws = Counter(trees.sample(seed) for seed in range(40 * len(near)))
    assert set(draws) == set(near)
    assert chisquare([draws[tree] for tree in near]).pvalue > 1e-3


def test_trees_at_the_edge_of_the_window_with_costs_that_round():
    table = SimpleNamespace(stem=0.1, layers=(0.1, 0.2, 0.3, 0.7), heads=dict.fromkeys('abc', 0.1))
    for tree in enumerate_trees(4, 'abc'):
        target = tree.cost(table)
        found = TreesAtCost(table, 'abc', target, 1e-12)
        assert {found.sample(seed).num_groups for seed in range(3)}
        assert found.sample().cost(table) == pytest.approx(target)


def test_trees_at_an_impossible_cost(mobilenet_pascal):
    tasks = tuple(mobilenet_pascal.heads)
    with pytest.raises(ValueError, match='no tree costs 5,000,000,000 within 2.0%; trees cost 5,9'):
        uniform_tree_at_cost(mobilenet_pascal, tasks, 5_000_000_000)


def test_vanilla_costs(mobilenet_pascal, resnet_nyud):
    pascal = '15.51 15.30 14.71 14.18 13.87 13.64 13.41 13.26 13.04 12.83 12.62 12.35 11.88 11.41'
    pascal += ' 10.79 9.50 8.21 6.29 5.99'
    nyud = '252.67 249.37 246.25 243.13 237.76 234.61 231.46 228.30 222.92 219.76 216.61 213.45'
    nyud += ' 210.29 207.14 190.05 177.42 164.79 122.24'
    for table, printed in ((mobilenet_pascal, pascal), (resnet_nyud, nyud)):
        tasks, num_layers = tuple(table.heads), len(table.layers)
        for shared, text in enumerate(printed.split()):
            tree = vanilla_tree(num_layers, tasks, shared)
            assert f'{tree.cost(table) / 1e9:.2f}' == text
            assert tree.num_groups == (1,) * shared + (len(tasks),) * (num_layers - shared)
    with pytest.raises(ValueError, match='must be 0 to 18, got 19'):
        vanilla_tree(18, 'ab', 19)


def test_vanilla_at_a_cost(mobilenet_pascal):
    tasks = tuple(mobilenet_pascal.heads)

    def shared(target, rule):
        return vanilla_tree_at_cost(mobilenet_pascal, tasks, target, rule).num_groups.count(1)

    assert shared(9.1e9, 'nearest') == 15
    assert shared(9.1e9, 'at_most') == 16
    assert shared(9.1e9, 'at_least') == 15
    assert shared(1e9, 'nearest') == 18
    with pytest.raises(ValueError, match='no vanilla tree costs at most 1,000,000,000: '):
        shared(1e9, 'at_most')
    with pytest.raises(ValueError, match="unknown rule 'near'"):
        shared(1e9, 'near')


@pytest.mark.parametrize('rule, index', [('nearest', 1), ('at_most', 0), ('at_least', 1)])
def test_index_at_a_cost(rule, index):
    assert index_at_cost([2, 5, 9], 4.5, rule) == index
    nothing = index_at_cost([2, 5, 9], dict(at_most=1).get(rule, 10), rule)
    assert nothing == (2 if rule == 'nearest' else None)
    with pytest.raises(ValueError, match="unknown rule 'near'"):
        index_at_cost([1], 1, 'near')


def test_permutations_are_distinct_and_of_equal_cost(mobilenet_pascal):
    tasks = tuple(mobilenet_pascal.heads)
    tree = BranchingTree.from_routes([[0] * 5] * 12 + [[0, 0, 1, 1, 1]] * 6, tasks)
    assert num_permutations(tree) == 10
    found = permutations(tree, 5, seed=3)
    assert len({tree, *found}) == 6
    assert {other.cost(mobilenet_pascal) for other in found} == {tree.cost(mobilenet_pascal)}
    assert found == permutations(tree, 5, seed=3) != permutations(tree, 5, seed=4)
    assert len(permutations(tree, 9)) == 9
    with pytest.raises(ValueError, match='10 permutations asked for, the tree has 9 others'):
        permutations(tree, 10)
    with pytest.raises(ValueError, match='has 0 others'):
        permutations(BranchingTree.shared(3, 'abc'), 1)
