"""The picture of affinities beside a tree."""

import numpy as np
import pytest

from bmtas.branching import BranchingTree, uniform_tree
from bmtas.visualization.affinity import draw_affinity, leaf_order

TASKS = ('semseg', 'sal', 'normals', 'edge')


def make_affinity(locations):
    affinity = np.random.default_rng(0).random((locations, 4, 4))
    affinity = (affinity + affinity.transpose(0, 2, 1)) / 2
    affinity[:, range(4), range(4)] = 1
    return affinity


@pytest.mark.parametrize('locations', [1, 4, 8])
def test_one_matrix_per_location_and_the_tree(locations, tmp_path):
    names = [f'layer{i}' for i in range(locations)]
    tree = BranchingTree.from_routes([[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 2]], TASKS)
    affinity = make_affinity(locations)
    for given in (None, tree):
        figure = draw_affinity(affinity, TASKS, names, given)
        matrices = [image.get_array() for axes in figure.axes for image in axes.images]
        assert len(matrices) == locations
        for shown, matrix in zip(matrices, affinity):
            off = ~np.eye(4, dtype=bool)
            assert np.array_equal(shown[off], matrix[off]) and shown.mask.diagonal().all()
        figure.savefig(tmp_path / 'affinity.png')
        assert (tmp_path / 'affinity.png').stat().st_size > 5000


def test_one_task_has_nothing_to_compare(tmp_path):
    draw_affinity(np.ones((2, 1, 1)), ['sal'], ['a', 'b']).savefig(tmp_path / 'affinity.png')


@pytest.mark.parametrize('seed', range(10))
def test_branches_do_not_cross(seed):
    tree = uniform_tree(5, [f't{i}' for i in range(7)], seed)
    routes = tree.routes[:, leaf_order(tree)]
    for row in routes:
        changes = (np.diff(row) != 0).sum()
        assert changes == row.max()  # each group is one run
