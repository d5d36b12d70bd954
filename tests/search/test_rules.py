"""Strategies without data."""

import pytest

from bmtas.branching import BranchingTree
from bmtas.registry import STRATEGIES
from bmtas.search import SearchContext


@pytest.fixture(scope='module')
def context(make_context) -> SearchContext:
    return make_context()


def run(context, **search):
    result = STRATEGIES.build(search).run(context)
    assert result.cost == result.tree.cost(context.table)
    return result.tree


def test_vanilla(context):
    tree = run(context, type='VanillaSearch', num_shared=5)
    assert tree.num_groups == (1,) * 5 + (3,) * 13 and tree.tasks == context.names
    target = tree.cost(context.table)
    assert run(context, type='VanillaSearch', target=target, rule='at_most') == tree
    for options in ({}, dict(num_shared=1, target=5)):
        with pytest.raises(ValueError, match='either num_shared or target'):
            run(context, type='VanillaSearch', **options)


def test_permutations_are_written(context, tmp_path):
    tree = BranchingTree.from_routes([[0, 0, 0]] * 9 + [[0, 0, 1]] * 9, context.names)
    tree.to_file(tmp_path / 'tree.json')
    path = str(tmp_path / 'tree.json')
    found = [
        run(context, type='PermutationSearch', branching=path, index=index, count=2)
        for index in range(2)
    ]
    assert len({tree, *found}) == 3
    for index, other in enumerate(found):
        assert BranchingTree.from_file(context.work_dir / f'permutation_{index}.json') == other
    message = r'search.count: 5 permutations asked for, the tree has 2 others \(.*tree.json\)'
    with pytest.raises(ValueError, match=message):
        run(context, type='PermutationSearch', branching=path)
    with pytest.raises(ValueError, match='5 is not one of 5 permutations'):
        run(context, type='PermutationSearch', branching=path, index=5)
    with pytest.raises(ValueError, match='needs the file of a tree'):
        run(context, type='PermutationSearch')
    with pytest.raises(FileNotFoundError, match='none.json does not exist'):
        run(context, type='PermutationSearch', branching=str(tmp_path / 'none.json'))


def test_random(context):
    shared, separate = (
        build(18, context.names).cost(context.table)
        for build in (BranchingTree.shared, BranchingTree.separate)
    )
    target = (shared + separate) / 2
    trees = {
        run(context, type='RandomSearch', target=target, tolerance=0.05, seed=seed)
        for seed in range(20)
    }
    assert len(trees) > 10
    assert all(abs(tree.cost(context.table) - target) <= 0.05 * target for tree in trees)
    assert run(context, type='RandomSearch', seed=1) == run(context, type='RandomSearch', seed=1)
    with pytest.raises(ValueError, match='no tree costs'):
        run(context, type='RandomSearch', target=2 * separate)
