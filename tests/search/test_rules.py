"""Strategies without data."""

import pytest

from bmtas.branching import BranchingTree
from bmtas.registry import STRATEGIES
from bmtas.search import SearchContext


@pytest.fixture(scope='module')
def context(make_context) -> SearchContext:
    return make_context()


@pytest.fixture(scope='module')
def run(context, with_budget):
    """The tree of a strategy: ``run(budget, type=..., ...)``."""

    def find(budget=None, **search):
        result = STRATEGIES.build(search).run(with_budget(context, budget))
        assert result.cost == result.tree.cost(context.table)
        return result.tree

    return find


def test_vanilla(context, run):
    tree = run(type='VanillaSearch', num_shared=5)
    assert tree.num_groups == (1,) * 5 + (3,) * 13 and tree.tasks == context.names
    budget = tree.cost(context.table)
    assert run(budget, type='VanillaSearch', rule='at_most') == tree
    with pytest.raises(ValueError, match='budget: missing'):
        run(type='VanillaSearch')


def test_permutations_are_written(context, run, tmp_path):
    tree = BranchingTree.from_routes([[0, 0, 0]] * 9 + [[0, 0, 1]] * 9, context.names)
    tree.to_file(tmp_path / 'tree.json')
    path = str(tmp_path / 'tree.json')
    found = [
        run(type='PermutationSearch', branching=path, index=index, count=2) for index in range(2)
    ]
    assert len({tree, *found}) == 3
    for index, other in enumerate(found):
        assert BranchingTree.from_file(context.work_dir / f'permutation_{index}.json') == other
    message = r'search.count: 5 permutations asked for, the tree has 2 others \(.*tree.json\)'
    with pytest.raises(ValueError, match=message):
        run(type='PermutationSearch', branching=path)
    with pytest.raises(ValueError, match='5 is not one of 5 permutations'):
        run(type='PermutationSearch', branching=path, index=5)
    with pytest.raises(ValueError, match='needs the file of a tree'):
        run(type='PermutationSearch')
    with pytest.raises(FileNotFoundError, match='none.json does not exist'):
        run(type='PermutationSearch', branching=str(tmp_path / 'none.json'))


def test_random(context, run):
    shared, separate = (
        build(18, context.names).cost(context.table)
        for build in (BranchingTree.shared, BranchingTree.separate)
    )
    budget = (shared + separate) / 2
    trees = {run(budget, type='RandomSearch', tolerance=0.1, seed=seed) for seed in range(20)}
    assert len(trees) > 10
    assert all(0.9 * budget <= tree.cost(context.table) <= budget for tree in trees)
    assert run(type='RandomSearch', seed=1) == run(type='RandomSearch', seed=1)


def test_budgets_that_no_tree_has(context, run):
    """One line names the costs of both extremes."""
    both = 'MAdds if all is shared, .*MAdds if nothing is'
    for budget, side in ((1, 'below'), (1e12, 'above'), ('900G', 'above')):
        with pytest.raises(ValueError, match=f'budget: .* is {side} what trees cost: .*{both}'):
            run(budget, type='RandomSearch')
    with pytest.raises(ValueError, match='search.tolerance: 1e-09 is too small: no tree costs 19,'):
        run('20M', type='RandomSearch', tolerance=1e-9)
    with pytest.raises(ValueError, match='num_shared: must be 0 to 18, got 19'):
        run(type='VanillaSearch', num_shared=19)
    with pytest.raises(ValueError, match="'5ms'.*latency"):
        run('5ms', type='RandomSearch')
