"""PASCAL-Context from files written in its own formats, nested MATLAB structures included."""

import numpy as np
import pytest
import scipy.io
from PIL import Image
from skimage.morphology import thin

from bmtas.datasets import PascalContext
from bmtas.datasets.check import check_sample
from bmtas.datasets.pascal_readers import NORMALS_CLASSES, PERSON_PARTS, edges_from_labels

HEIGHT, WIDTH = 12, 16
WALL, SKY, PERSON, TVMONITOR, HORSE = 440, 360, 284, 427, 207


def struct(fields, rows):
    """A 1 x n MATLAB structure array."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in fields])
    for column, row in enumerate(rows):
        for name, value in zip(fields, row):
            array[0, column][name] = value
    return array


def rectangle(top, bottom, left, right):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def write_parts(path, objects):
    """``objects``: list of (class name, category, mask, list of (part name, mask))."""
    rows = [
        (name, category, mask, struct(['part_name', 'mask'], parts) if parts else np.zeros((0, 0)))
        for name, category, mask, parts in objects
    ]
    inner = struct(['class', 'class_ind', 'mask', 'parts'], rows) if rows else np.zeros((0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, dict(anno=struct(['imname', 'objects'], [(path.stem, inner)])))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def label_map():
    array = np.full((HEIGHT, WIDTH), WALL, np.uint16)
    array[:4] = SKY
    array[6:, :5] = PERSON
    array[6:9, 10:14] = TVMONITOR
    array[10:, 10:] = 0
    return array


PARTS = [
    ('horse', 13, rectangle(0, 6, 0, 6), [('head', rectangle(0, 3, 0, 3))]),
    (
        'person',
        15,
        rectangle(6, 12, 0, 5),
        [
            ('head', rectangle(6, 8, 0, 5)),
            ('torso', rectangle(7, 10, 0, 5)),
            ('rfoot', rectangle(11, 12, 0, 2)),
        ],
    ),
    ('person', 15, rectangle(0, 3, 10, 14), []),
    ('person', 15, rectangle(6, 12, 6, 9), [('llarm', rectangle(8, 9, 6, 9))]),
]


def write(root, img_id, voc, objects):
    rng = np.random.default_rng(len(img_id))
    save(
        root / 'JPEGImages' / f'{img_id}.jpg',
        rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
    )
    context = np.full((HEIGHT, WIDTH), 5, np.uint8)
    context[0] = 255
    save(root / 'semseg' / 'pascal-context' / f'{img_id}.png', context)
    if voc:
        save(root / 'semseg' / 'VOC12' / f'{img_id}.png', np.full((HEIGHT, WIDTH), 20, np.uint8))
    normals = np.full((HEIGHT, WIDTH, 3), (128, 128, 255), np.uint8)
    save(root / 'normals_distill' / f'{img_id}.png', normals)
    sal = np.full((HEIGHT, WIDTH), 127, np.uint8)
    sal[:, 8:] = 128
    save(root / 'sal_distill' / f'{img_id}.png', sal)
    maps = root / 'pascal-context' / 'trainval'
    maps.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(maps / f'{img_id}.mat', dict(LabelMap=label_map()), do_compression=True)
    write_parts(root / 'human_parts' / f'{img_id}.mat', objects)


@pytest.fixture
def root(tmp_path):
    write(tmp_path, '2008_000008', voc=True, objects=PARTS)
    write(tmp_path, '2008_000015', voc=False, objects=PARTS[:1])
    split = tmp_path / 'ImageSets' / 'Context' / 'train.txt'
    split.parent.mkdir(parents=True)
    split.write_text('2008_000008\n2008_000015\n')
    return tmp_path


def test_voc_labels_come_first(root):
    dataset = PascalContext(str(root), 'train')
    assert (dataset.load(0)['labels']['semseg'] == 20).all()
    fallback = dataset.load(1)['labels']['semseg']
    assert (fallback[1:] == 5).all() and (fallback[0] == 255).all()
    assert dataset.missing_files() == {}


def test_parts_are_merged_and_painted_in_order(root):
    parts = PascalContext(str(root), 'train', ['human_parts']).load(0)['labels']['human_parts']
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[6:8, :5] = 1
    expected[7:10, :5] = 2  # the torso comes after the head and covers its lower row
    expected[11, :2] = 6
    expected[8, 6:9] = 4
    np.testing.assert_array_equal(parts, expected)


def test_twenty_four_part_names():
    assert len(PERSON_PARTS) == 24
    by_group = {group: set() for group in range(1, 7)}
    for name, group in PERSON_PARTS.items():
        by_group[group].add(name)
    assert [len(by_group[group]) for group in range(1, 7)] == [10, 2, 2, 4, 2, 4]


def test_image_without_person_is_ignored(root):
    ignore = dict(type='IgnoreAbsentForeground', labels=['human_parts'])
    dataset = PascalContext(str(root), 'train', ['human_parts'], pipeline=[ignore])
    assert (dataset[1]['labels']['human_parts'] == 255).all()
    assert set(np.unique(dataset[0]['labels']['human_parts'])) == {0, 1, 2, 4, 6}
    assert (
        not PascalContext(str(root), 'train', ['human_parts'])
        .load(1)['labels']['human_parts']
        .any()
    )


def test_annotation_without_objects(root):
    write_parts(root / 'human_parts' / '2008_000008.mat', [])
    labels = PascalContext(str(root), 'train', ['human_parts']).load(0)['labels']
    np.testing.assert_array_equal(labels['human_parts'], np.zeros((HEIGHT, WIDTH)))


def test_saliency_threshold(root):
    sal = PascalContext(str(root), 'train', ['sal']).load(0)['labels']['sal']
    assert not sal[:, :8].any() and sal[:, 8:].all()


def test_normals_are_valid_by_class(root):
    normals = PascalContext(str(root), 'train', ['normals']).load(0)['labels']['normals']
    classes = label_map()
    valid = np.isin(classes, [WALL, PERSON, TVMONITOR])  # not the sky, not what is unlabelled
    np.testing.assert_array_equal((normals != 0).any(-1), valid)
    np.testing.assert_allclose(normals[valid][0], [0.004, 0.004, 1], atol=1e-3)
    everywhere = PascalContext(str(root), 'train', ['normals'], normals_classes=None)
    assert (everywhere.load(0)['labels']['normals'] != 0).any(-1).all()
    walls = PascalContext(str(root), 'train', ['normals'], normals_classes=[WALL])
    np.testing.assert_array_equal(
        (walls.load(0)['labels']['normals'] != 0).any(-1), classes == WALL
    )


def test_set_of_valid_normals():
    assert len(set(NORMALS_CLASSES)) == 170
    # VOC classes by their context ids
    valid = {23, 34, 59, 65, 72, 397, 113, 284, 368, 427}
    invalid = {2, 25, 31, 45, 98, 207, 258, 308, 347, 416}
    assert valid <= set(NORMALS_CLASSES) and not invalid & set(NORMALS_CLASSES)
    assert {440, 158, 68, 454} <= set(NORMALS_CLASSES)  # wall, floor, ceiling, window
    assert not {360, 187, 189, 324, 44, 420, 445, 431} & set(NORMALS_CLASSES)


def laplacian_by_hand(array):
    padded = np.pad(array.astype(np.int64), 1, mode='reflect')
    return (
        padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    ) - 4 * padded[1:-1, 1:-1]


def test_edges_are_thinned_class_boundaries(root):
    edge = PascalContext(str(root), 'train', ['edge']).load(0)['labels']['edge']
    boundary = laplacian_by_hand(label_map()) != 0
    np.testing.assert_array_equal(edge, thin(boundary))
    # two rows of boundary pixels along the horizon become one
    assert boundary[3:5, 8].all() and edge[3:5, 8].sum() == 1
    random = np.random.default_rng(0).integers(0, 460, (40, 50)).astype(np.uint16)
    random[:, :30] = 7
    np.testing.assert_array_equal(edges_from_labels(random), thin(laplacian_by_hand(random) != 0))


def test_all_labels_travel_through_the_recipe(root):
    pipeline = [
        dict(type='Resize', factor=0.5, lines=['edge']),
        dict(type='RandomScale', scales=[0.5, 2.0]),
        dict(type='RandomCrop', size=8),
        dict(type='RandomHorizontalFlip'),
        dict(type='IgnoreAbsentForeground', labels=['human_parts']),
        dict(type='PackSample'),
    ]
    dataset = PascalContext(str(root), 'train', pipeline=pipeline)
    for position in range(6):
        sample = dataset[position]
        assert sample['inputs'].shape == (3, 8, 8)
        labels = sample['data_samples'].labels
        assert set(labels.keys()) == {'semseg', 'human_parts', 'sal', 'normals', 'edge'}
        assert labels['normals'].shape == (3, 8, 8)
        assert set(labels['edge'].unique().tolist()) <= {0, 1, 255}


def raises(error, match, call):
    with pytest.raises(error, match=match) as caught:
        call()
    assert '\n' not in str(caught.value)


def test_bad_files(root):
    dataset = PascalContext(str(root), 'train')
    parts = root / 'human_parts' / '2008_000008.mat'
    whole = parts.read_bytes()
    parts.write_bytes(whole[: len(whole) // 2])
    raises(ValueError, '2008_000008.mat: cannot be read', lambda: dataset.load(0))
    scipy.io.savemat(parts, dict(anno=np.zeros((2, 2))))
    raises(ValueError, '2008_000008.mat: not a part annotation', lambda: dataset.load(0))
    write_parts(parts, [('person', 15, rectangle(0, 5, 0, 5), [('tail', rectangle(0, 1, 0, 1))])])
    raises(ValueError, 'not a part annotation .*tail', lambda: dataset.load(0))
    parts.write_bytes(whole)
    map_path = root / 'pascal-context' / 'trainval' / '2008_000008.mat'
    scipy.io.savemat(map_path, dict(LabelMap=np.full((HEIGHT, WIDTH), 460, np.uint16)))
    raises(ValueError, r'class ids 460..460, expected 0..459', lambda: dataset.load(0))
    scipy.io.savemat(map_path, dict(LabelMap=np.full((HEIGHT, 3), 4, np.uint16)))
    raises(ValueError, 'they must agree', lambda: dataset.load(0))
    (root / 'semseg' / 'VOC12' / '2008_000008.png').unlink()
    (root / 'semseg' / 'pascal-context' / '2008_000008.png').unlink()
    assert dataset.missing_files() == {root / 'semseg' / 'pascal-context': ['2008_000008.png']}


def test_classes_that_do_not_exist(root):
    with pytest.raises(ValueError, match='normals_classes: ids are 1 to 459'):
        PascalContext(str(root), 'train', normals_classes=[3, 460])


def test_a_file_of_two_labels_is_reported_once(root):
    map_path = root / 'pascal-context' / 'trainval' / '2008_000008.mat'
    map_path.unlink()
    problems = check_sample(PascalContext(str(root), 'train'), 0).problems
    assert problems == [f'{map_path}: label file not found']
