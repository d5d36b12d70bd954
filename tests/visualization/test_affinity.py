"""The picture of affinities beside a tree."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from bmtas.branching import BranchingTree, uniform_tree
from bmtas.visualization import draw_affinity
from bmtas.visualization.affinity import _draw_matrices
from bmtas.visualization.tree import leaf_order

TASKS = ('semseg', 'sal', 'normals', 'edge')


def make_affinity(locations):
    affinity = np.random.default_rng(0).random((locations, 4, 4))
    affinity = (affinity + affinity.transpose(0, 2, 1)) / 2
    affinity[:, range(4), range(4)] = 1
    return affinity


@pytest.mark.parametrize('locations', [1, 8])
def test_picture_is_written(locations, tmp_path):
    names = [f'layer{i}' for i in range(locations)]
    tree = BranchingTree.from_routes([[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 2]], TASKS)
    for given in (None, tree):
        path = draw_affinity(make_affinity(locations), TASKS, names, tmp_path / 'vis/a.png', given)
        assert path == tmp_path / 'vis/a.png' and path.stat().st_size > 5000


def test_every_matrix_is_shown_without_its_diagonal():
    affinity = make_affinity(8)
    axes = Figure().subplots()
    _draw_matrices(axes, affinity, TASKS, list('abcdefgh'), 6)
    off = ~np.eye(4, dtype=bool)
    for image, matrix in zip(axes.images, affinity, strict=True):
        shown = image.get_array()
        assert np.array_equal(shown[off], matrix[off]) and shown.mask.diagonal().all()
    boxes = [tuple(image.get_extent()) for image in axes.images]
    assert len(set(boxes)) == 8
    (x0, x1), (y1, y0) = axes.get_xlim(), axes.get_ylim()
    assert all(x0 <= a < b <= x1 and y0 <= d < c <= y1 for a, b, c, d in boxes)


def test_many_tasks_stay_on_one_page(tmp_path):
    """Thirty tasks take no more room than eight, and no cell is written into."""
    affinity = np.random.default_rng(0).random((8, 30, 30))
    names = [f'task{i}' for i in range(30)]
    tree = uniform_tree(8, names, 0)
    path = draw_affinity(affinity, names, list('abcdefgh'), tmp_path / 'a.png', tree)
    assert max(imread(path).shape) < 3500
    axes = Figure().subplots()
    _draw_matrices(axes, affinity, names, list('abcdefgh'), 6)
    assert [text.get_text() for text in axes.texts] == list('abcdefgh')


def test_one_task_has_nothing_to_compare(tmp_path):
    draw_affinity(np.ones((2, 1, 1)), ['sal'], ['a', 'b'], tmp_path / 'affinity.png')


@pytest.mark.parametrize('seed', range(10))
def test_branches_do_not_cross(seed):
    tree = uniform_tree(5, [f't{i}' for i in range(7)], seed)
    routes = tree.routes[:, leaf_order(tree)]
    for row in routes:
        changes = (np.diff(row) != 0).sum()
        assert changes == row.max()  # each group is one run
