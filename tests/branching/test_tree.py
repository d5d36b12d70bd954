"""Structure semantics, branching files, drawing."""

import itertools
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmtas.branching import BranchingTree

TASKS = ('semseg', 'sal', 'normals', 'edge')
ROUTES = [[0, 0, 0, 0], [2, 2, 1, 2], [3, 0, 0, 3]]

route_tables = st.integers(1, 5).flatmap(
    lambda num_tasks: st.lists(
        st.lists(st.integers(0, 4), min_size=num_tasks, max_size=num_tasks), min_size=1, max_size=5
    )
)


def make_table(num_layers, tasks=TASKS):
    heads = dict.fromkeys(tasks, 10)
    return SimpleNamespace(stem=100, layers=range(1, num_layers + 1), heads=heads, unit='MAdds')


def test_groups_follow_the_running_meet():
    tree = BranchingTree.from_routes(ROUTES, TASKS)
    assert tree.groups == (
        (TASKS,),
        (('semseg', 'sal', 'edge'), ('normals',)),
        (('semseg', 'edge'), ('sal',), ('normals',)),
    )
    assert tree.num_groups == (1, 2, 3)
    assert tree.routes.tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 2, 0]]
    assert (tree.num_layers, tree.num_tasks) == (3, 4)


def test_equal_constants_are_one_group():
    tree = BranchingTree.from_routes([[3, 3, 3]] * 4)
    assert tree == BranchingTree.shared(4, ['task0', 'task1', 'task2'])
    assert tree.num_groups == (1,) * 4


def test_split_then_equal_stays_split():
    tree = BranchingTree.from_routes([[0, 0], [0, 1], [0, 0]])
    assert tree.num_groups == (1, 2, 2)


@settings(max_examples=60, deadline=None)
@given(route_tables, st.randoms(use_true_random=False))
def test_two_tasks_share_iff_routes_agree_up_to_the_layer(table, random):
    tree = BranchingTree.from_routes(table)
    array = np.array(table)
    for layer, s, t in itertools.product(*map(range, (len(table), array.shape[1], array.shape[1]))):
        agree = bool((array[: layer + 1, s] == array[: layer + 1, t]).all())
        assert agree == (tree.routes[layer, s] == tree.routes[layer, t])
    names = [random.sample(range(9), 5) for _ in table]
    renamed = [[names[layer][k] for k in row] for layer, row in enumerate(table)]
    other = BranchingTree.from_routes(renamed)
    assert other == tree and hash(other) == hash(tree)
    assert BranchingTree.from_routes(tree.routes).routes.tolist() == tree.routes.tolist()


@settings(max_examples=60, deadline=None)
@given(route_tables, st.randoms(use_true_random=False))
def test_permutations_move_groups_and_keep_the_cost(table, random):
    tree = BranchingTree.from_routes(table)
    image = dict(zip(tree.tasks, random.sample(tree.tasks, len(tree.tasks))))
    permuted = tree.permuted(image)
    assert permuted.tasks == tree.tasks
    for old, new in zip(tree.groups, permuted.groups):
        moved = {frozenset(image[name] for name in group) for group in old}
        assert moved == {frozenset(group) for group in new}
    costs = make_table(tree.num_layers, tree.tasks)
    assert permuted.cost(costs) == tree.cost(costs)


@settings(max_examples=30, deadline=None)
@given(route_tables)
def test_number_of_symmetries_by_trying_all_permutations(table):
    tree = BranchingTree.from_routes(table)
    same = sum(
        tree.permuted(dict(zip(tree.tasks, images))) == tree
        for images in itertools.permutations(tree.tasks)
    )
    assert tree.num_symmetries() == same


def test_equality_ignores_the_order_of_columns_but_not_names():
    tree = BranchingTree.from_routes(ROUTES, TASKS)
    assert tree.reorder(TASKS[::-1]) == tree
    assert tree.reorder(TASKS[::-1]).tasks == TASKS[::-1]
    others = ['depth' if name == 'sal' else name for name in TASKS]
    assert BranchingTree.from_routes(ROUTES, others) != tree
    assert tree != 3
    assert BranchingTree.from_routes(ROUTES[:2], TASKS) != tree


def test_cost_is_stem_plus_copies_plus_heads():
    tree = BranchingTree.from_routes(ROUTES, TASKS)
    assert tree.cost(make_table(3)) == 100 + (1 + 2 * 2 + 3 * 3) + 40
    with pytest.raises(ValueError, match='has 4 layers, the tree 3'):
        tree.cost(make_table(4))
    with pytest.raises(ValueError, match='no head for edge'):
        tree.cost(make_table(3, TASKS[:3]))


def test_routes_from_arrays_and_tensors():
    expected = BranchingTree.from_routes(ROUTES, TASKS)
    for routes in (np.array(ROUTES, float), torch.tensor(ROUTES), tuple(map(tuple, ROUTES))):
        assert BranchingTree.from_routes(routes, TASKS) == expected
    with pytest.raises(ValueError, match='read-only'):
        expected.routes[0, 0] = 1


@pytest.mark.parametrize(
    'routes, message',
    [
        ([], 'non-empty table'),
        ([[0, 1], [0]], 'row 1 of the routes has 1 entries, row 0 has 2'),
        ([[0, 1], 3], 'row 1 of the routes must be a list of numbers, got 3'),
        ([[0, 1.5]], r'row 0, column 1 of the routes is 1\.5'),
        ([[0, 'a']], "column 1 of the routes is 'a'"),
        ([[0, float('nan')]], 'is nan, not a whole number'),
        ([[0, -1]], 'is -1, not a whole number'),
        ([[True, 0]], 'is True'),
        ([[0, 0, 0]], '3 columns but there are 2 tasks'),
    ],
)
def test_faulty_routes(routes, message):
    with pytest.raises(ValueError, match=message):
        BranchingTree.from_routes(routes, ['a', 'b'])


def test_faulty_names():
    with pytest.raises(ValueError, match='distinct'):
        BranchingTree.from_routes([[0, 0]], ['a', 'a'])
    with pytest.raises(ValueError, match='1 rows but there are 2 layers'):
        BranchingTree.from_routes([[0, 0]], layers=['x', 'y'])
    tree = BranchingTree.from_routes([[0, 0]], ['a', 'b'])
    with pytest.raises(ValueError, match='not a permutation'):
        tree.permuted({'a': 'b'})
    with pytest.raises(ValueError, match='not a permutation'):
        tree.permuted({'c': 'a'})
    with pytest.raises(ValueError, match='is for tasks'):
        tree.reorder(['a', 'c'])


def test_file_round_trip(tmp_path):
    tree = BranchingTree.from_routes(ROUTES, TASKS, ['b0', 'b1', 'aspp'])
    path = tmp_path / 'deep' / 'branching.json'
    tree.to_file(path, make_table(3))
    loaded = BranchingTree.from_file(path)
    assert loaded == tree
    assert loaded.tasks == TASKS and loaded.layers == tree.layers
    content = json.loads(path.read_text())
    assert content['cost'] == tree.cost(make_table(3)) and content['unit'] == 'MAdds'
    assert content['version'] == 1 and content['tasks'] == list(TASKS)
    assert content['groups'][1] == [['semseg', 'sal', 'edge'], ['normals']]
    assert [entry.name for entry in path.parent.iterdir()] == ['branching.json']
    tree.to_file(path)
    assert json.loads(path.read_text())['cost'] is None


def test_columns_follow_the_names(tmp_path):
    tree = BranchingTree.from_routes(ROUTES, TASKS)
    tree.to_file(tmp_path / 'tree.json')
    loaded = BranchingTree.from_file(tmp_path / 'tree.json', tasks=TASKS[::-1], num_layers=3)
    assert loaded == tree and loaded.tasks == TASKS[::-1]


def test_public_format_with_floats(tmp_path):
    path = tmp_path / 'tree.json'
    path.write_text(json.dumps({'config': [[0.0, 0.0, 4.0], [1.0, 0.0, 0.0]]}))
    assert BranchingTree.from_file(path).num_groups == (2, 3)
    assert BranchingTree.from_file(path, tasks=['a', 'b', 'c']).groups[0] == (('a', 'b'), ('c',))


@pytest.mark.parametrize(
    'content, message',
    [
        ('{', 'is not JSON'),
        ('[]', "no key 'config'"),
        ('{"routes": []}', "no key 'config'"),
        ('{"config": [[0, 0], [0]]}', 'row 1 of the routes has 1 entries'),
        ('{"config": [[0, 0.5]]}', 'column 1 of the routes is 0.5'),
        ('{"config": [[0, 0, 0], [0, 0, 0]]}', 'has 3 columns, expected 2'),
        ('{"config": [[0, 0]]}', 'has 1 layers, the encoder 2'),
        ('{"config": [[0, 0], [0, 1]], "tasks": ["sem", "edge"]}', "unknown task 'sem'"),
        ('{"config": [[0], [0]], "tasks": ["edge"]}', "no column for task 'semseg'"),
        ('{"config": [[0, 0], [0, 1]], "tasks": ["edge"]}', '1 names for 2 columns'),
        ('{"config": [[0, 0], [0, 1]], "tasks": "ab"}', 'must be a list of names'),
        ('{"config": [[0, 0], [0, 1]], "tasks": ["edge", "edge"]}', "'tasks' must be distinct"),
        ('{"config": [[0, 0], [0, 1]], "layers": ["a"]}', "'layers' does not name 2"),
        ('{"config": [[0, 0], [0, 1]], "groups": [[["semseg", "edge"]]]}', "'groups' disagrees"),
    ],
)
def test_faulty_files(tmp_path, content, message):
    path = tmp_path / 'tree.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        BranchingTree.from_file(path, tasks=['semseg', 'edge'], num_layers=2)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.json does not exist'):
        BranchingTree.from_file(tmp_path / 'nowhere.json')


def test_drawing():
    tree = BranchingTree.from_routes([ROUTES[0], *ROUTES, ROUTES[-1]], TASKS)
    assert str(tree) == '\n'.join(
        [
            'stem',
            '└─ 0 - 1: semseg, sal, normals, edge',
            '   ├─ 2: semseg, sal, edge',
            '   │  ├─ 3 - 4: semseg, edge',
            '   │  └─ 3 - 4: sal',
            '   └─ 2 - 4: normals',
        ]
    )
    named = BranchingTree.from_routes(ROUTES[:2], TASKS, ['first', 'second'])
    assert 'second: normals' in str(named)
    assert eval(repr(tree)) == tree


def test_the_domain_needs_no_mmengine():
    code = 'import sys, bmtas.branching; sys.exit("mmengine" in sys.modules)'
    subprocess.run([sys.executable, '-c', code], check=True, timeout=200)
