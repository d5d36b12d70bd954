"""Pictures: they are written, repeat byte for byte, leave pyplot alone, and reject what misfits."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from bmtas.branching import BranchingTree
from bmtas.kinds import Category, Classes, Depth, Mask, Normals, class_colours
from bmtas.tasks import MultiTaskSample, Task, TaskMaps
from bmtas.visualization import (
    draw_alpha,
    draw_curves,
    draw_front,
    draw_predictions,
    draw_tree,
)
from bmtas.visualization.tree import _positions

TASKS = (
    Task('semseg', Classes(3), draw=dict(names=['a', 'b', 'c'])),
    Task('sal', Mask()),
    Task('depth', Depth()),
    Task('normals', Normals()),
)
TREE = BranchingTree.from_routes(
    [[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 2, 1], [0, 1, 2, 3]], ['a', 'b', 'c', 'd']
)
TABLE = SimpleNamespace(stem=10, layers=[5, 5, 9, 2], heads=dict.fromkeys('abcd', 3), unit='MAdds')


def sample(height=16, width=24):
    rng = np.random.default_rng(0)
    normals = torch.nn.functional.normalize(
        torch.tensor(rng.normal(size=(3, height, width))), dim=0
    )
    maps = dict(
        semseg=torch.tensor(rng.integers(0, 3, (height, width))),
        sal=torch.tensor(rng.integers(0, 2, (height, width))),
        depth=torch.tensor(rng.uniform(1, 5, (height, width)), dtype=torch.float32),
        normals=torch.nn.functional.normalize(normals, dim=0).float(),
    )
    out = MultiTaskSample(labels=TaskMaps(maps), predictions=TaskMaps(maps))
    return torch.tensor(rng.integers(0, 256, (3, height, width)), dtype=torch.uint8), out


def draw(kind, path):
    if kind == 'tree':
        return draw_tree(TREE, path, TABLE)
    if kind == 'alpha':
        probs = np.random.default_rng(0).dirichlet(np.ones(3), (7, 4))
        return draw_alpha(probs, TREE.tasks, None, path)
    if kind == 'curves':
        history = dict(
            update=[1, 2, 3],
            cost_exact=[3.0, 2.0, 1.0],
            cost_paper=[None, 2.5, 1.0],
            cost_tree=[3.0, 3.0, 1.0],
            tau=[5.0, 3.0, 0.1],
            losses=[{'loss_a': 1.0}, {}, {'loss_a': 0.5, 'loss_b': 2.0}],
        )
        return draw_curves(history, path, unit='G', shared=0.5, separate=3.5)
    image, one = sample()
    return draw_predictions([image, image], [one, one], TASKS, path)


@pytest.mark.parametrize('kind', ['tree', 'alpha', 'curves', 'predictions'])
def test_pictures_repeat_byte_for_byte(kind, tmp_path):
    first = draw(kind, tmp_path / 'new' / 'a.png')
    second = draw(kind, tmp_path / 'b.png')
    assert first == tmp_path / 'new' / 'a.png'
    assert first.read_bytes() == second.read_bytes()
    assert imread(first).shape[0] > 100
    assert [p.name for p in first.parent.iterdir()] == ['a.png']


def red_pixels(path):
    red, green, blue = np.moveaxis(imread(path)[..., :3], -1, 0)
    return int(((red > 0.7) & (green < 0.4) & (blue < 0.3)).sum())


def test_wrong_words_are_marked(tmp_path):
    grey = torch.full((3, 16, 24), 128)

    def sheet(label):
        one = MultiTaskSample(
            labels=TaskMaps(pet=torch.tensor(label)),
            predictions=TaskMaps(pet=torch.tensor([0.1, 0.9])),
        )
        return red_pixels(
            draw_predictions([grey], [one], [Task('pet', Category(2))], tmp_path / 'a.png')
        )

    assert [sheet(label) > 20 for label in (1, 0, -1)] == [False, True, False]


def test_the_chosen_tree_is_named_beside_its_point(tmp_path):
    costs, scores = [1, 2, 3], [9, 4, 1]
    plain = draw_front(costs, scores, tmp_path / 'a.png', 'score')
    assert red_pixels(plain) == 0
    path = draw_front(costs, scores, tmp_path / 'b.png', 'score', chosen=2)
    picture = imread(path)
    rows, columns = np.nonzero((picture[..., 0] > 0.7) & (picture[..., 1] < 0.4))
    # one mark, nothing at another place that could pass for a tree
    assert np.ptp(columns) < 80 and np.ptp(rows) < 40 and red_pixels(path) > 40


def test_drawing_leaves_pyplot_alone(tmp_path):
    import matplotlib
    import matplotlib.pyplot as plt

    settings, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    figures = plt.get_fignums()
    for kind in ('tree', 'curves'):
        draw(kind, tmp_path / f'{kind}.png')
    assert plt.get_fignums() == figures
    assert dict(matplotlib.rcParams) == settings and matplotlib.get_backend() == backend


def test_lines_of_a_group_stay_together_and_never_cross_others():
    lines, centres = _positions(TREE)
    assert lines.shape == (6, 4)
    for layer, row in enumerate(TREE.routes, 1):
        for group in set(row.tolist()):
            members = row == group
            assert np.ptp(lines[layer, members]) < 0.7
            assert len(set(centres[layer, members])) == 1
            others = lines[layer, ~members]
            inside = (others > lines[layer, members].min()) & (others < lines[layer, members].max())
            assert not inside.any()
    # the order from top to bottom is the same in all layers
    assert len({tuple(row.argsort().tolist()) for row in lines}) == 1
    assert np.ptp(lines[0]) < 0.7 and sorted(lines[-1]) == [-3, -2, -1, 0]


def test_tree_without_table_and_of_one_task(tmp_path):
    draw_tree(BranchingTree.from_routes([[0], [0]], ['only']), tmp_path / 'a.png')
    draw_tree(TREE, tmp_path / 'b.png')


def test_misfits_are_named(tmp_path):
    with pytest.raises(ValueError, match=r'need \(L, 2, K\)'):
        draw_alpha(np.zeros((3, 4, 4)), ['a', 'b'], None, tmp_path / 'a.png')
    with pytest.raises(ValueError, match='3 layers, there are 1 names'):
        draw_alpha(np.zeros((3, 1, 4)), ['a'], ['x'], tmp_path / 'a.png')
    with pytest.raises(ValueError, match='update'):
        draw_curves(dict(tau=[1.0]), tmp_path / 'a.png')
    with pytest.raises(ValueError, match='different lengths'):
        draw_curves(dict(update=[1], tau=[1.0, 2.0]), tmp_path / 'a.png')
    with pytest.raises(ValueError, match='nothing to draw'):
        draw_curves(dict(update=[1]), tmp_path / 'a.png')
    with pytest.raises(ValueError, match='0 images'):
        draw_predictions([], [], TASKS, tmp_path / 'a.png')
    assert not list(tmp_path.iterdir())


def colour_map(values, task, limits=None):
    return task.kind.colours(values, task.draw, limits)


def test_colours_by_kind():
    semseg, sal, depth, normals = TASKS
    classes = colour_map(np.array([[0, 1], [2, 255]]), semseg)
    np.testing.assert_array_equal(classes[0, 1], class_colours(3)[1])
    np.testing.assert_array_equal(classes[1, 1], [150, 150, 150])
    mask = colour_map(np.array([[0, 1, 255]]), sal)
    assert mask[0, 0].max() < 10 and mask[0, 1].min() > 150
    np.testing.assert_array_equal(mask[0, 2], [150, 150, 150])
    # x right: red, up: green, towards the camera: blue
    vectors = np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 0]], float).T[:, None]
    np.testing.assert_array_equal(
        colour_map(vectors, normals)[0],
        [[255, 128, 128], [128, 255, 128], [128, 128, 255], [150, 150, 150]],
    )
    near, far, invalid = colour_map(np.array([[1.0, 4.0, 0.0]]), depth, (1, 4))[0]
    assert near.sum() > far.sum()
    np.testing.assert_array_equal(invalid, [150, 150, 150])
    assert depth.kind.limits([np.array([0.0, np.inf])]) == (0.0, 1.0)
    assert depth.kind.limits([torch.full((2, 2), 3.0)])[0] == 3.0


def test_palettes():
    # first colours of PASCAL VOC
    assert class_colours(4, 'voc').tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert len(np.unique(class_colours(60), axis=0)) == 60
    assert class_colours(2, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]).tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(ValueError, match='unknown palette'):
        class_colours(2, 'vco')
    with pytest.raises(ValueError, match='need 3 RGB triples'):
        class_colours(3, [[1, 2, 3]])


def test_missing_labels_leave_cells_empty(tmp_path):
    image, one = sample()
    bare = MultiTaskSample(predictions=one.predictions)
    unlabelled = MultiTaskSample(labels=TaskMaps({'sal': one.labels['sal']}))
    draw_predictions([image, image], [bare, unlabelled], TASKS, tmp_path / 'a.png')
