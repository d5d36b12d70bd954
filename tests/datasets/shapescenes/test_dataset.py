"""ShapeScenes as a data set: determinism, label maps, options."""

import numpy as np
import pytest

from bmtas.datasets.shapescenes import CLASSES, PARTS, ShapeScenes


@pytest.fixture(scope='module')
def samples():
    dataset = ShapeScenes(length=60)
    return [dataset.load(index) for index in range(40)]


def assert_equal(a, b):
    np.testing.assert_array_equal(a['img'], b['img'])
    assert a['labels'].keys() == b['labels'].keys()
    for name, array in a['labels'].items():
        np.testing.assert_array_equal(array, b['labels'][name])


def test_a_scene_depends_on_seed_split_and_index_only():
    first, second = ShapeScenes(length=50), ShapeScenes(length=9, cache=True)
    a = first.load(7)
    for _ in range(2):
        assert_equal(a, second.load(7))
    for other in (ShapeScenes(seed=1), ShapeScenes(split='val')):
        assert (other.load(7)['img'] != a['img']).mean() > 0.5
    assert (first.load(8)['img'] != a['img']).mean() > 0.5


def test_the_cache_hands_out_copies():
    dataset = ShapeScenes(length=2, cache=True)
    clean = ShapeScenes(length=2).load(0)
    dirty = dataset.load(0)
    dirty['img'][:] = 0
    dirty['labels']['depth'][:] = 0
    dirty['labels'].pop('edge')
    assert_equal(dataset.load(0), clean)


def test_equal_data_sets_render_a_scene_once(monkeypatch):
    rendered = []
    render = ShapeScenes._render
    monkeypatch.setattr(
        ShapeScenes, '_render', lambda self, i: rendered.append(i) or render(self, i)
    )
    options = dict(length=3, seed=77, cache=True)
    first = ShapeScenes(**options).load(1)
    assert_equal(ShapeScenes(**options).load(1), first)
    assert rendered == [1]

    class Other(ShapeScenes):
        pass

    Other(**options).load(1)
    assert rendered == [1] * 2
    for other in (dict(seed=78), dict(size=32), dict(split='val'), dict(labels=['depth'])):
        ShapeScenes(**{**options, **other}).load(1)
    assert rendered == [1] * 6


def test_sizes_show_the_same_view():
    # the centre of a pixel of 64 is the centre of the middle one of 3 x 3 pixels of 192
    for index in range(4):
        small = ShapeScenes(size=64).load(index)['labels']
        large = ShapeScenes(size=192).load(index)['labels']
        for name in ('semseg', 'human_parts', 'sal'):
            np.testing.assert_array_equal(small[name], large[name][1::3, 1::3])
        np.testing.assert_allclose(small['depth'], large['depth'][1::3, 1::3], rtol=1e-6)
        np.testing.assert_allclose(small['normals'], large['normals'][1::3, 1::3], atol=1e-5)


def test_oblong_images_see_more_to_the_sides():
    square, wide = ShapeScenes(size=64).load(5), ShapeScenes(size=(64, 96)).load(5)
    assert wide['img'].shape == (64, 96, 3)
    np.testing.assert_array_equal(square['labels']['semseg'], wide['labels']['semseg'][:, 16:80])


def test_types_and_ranges(samples):
    for sample in samples:
        labels = sample['labels']
        assert sample['img'].shape == (64, 64, 3) and sample['img'].dtype == np.uint8
        assert labels['semseg'].dtype == np.uint8 and labels['semseg'].max() < len(CLASSES)
        parts = labels['human_parts']
        assert set(np.unique(parts)) <= {*range(len(PARTS)), 255}
        for name in ('sal', 'edge'):
            assert set(np.unique(labels[name])) <= {0, 1}
        assert labels['depth'].dtype == np.float32 and labels['depth'].shape == (64, 64)
        assert labels['depth'].min() > 0.3 and labels['depth'].max() < 20
        normals = labels['normals']
        assert normals.dtype == np.float32 and normals.shape == (64, 64, 3)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1, atol=1e-5)


def test_every_class_and_part_occurs(samples):
    classes = set(np.unique(np.stack([s['labels']['semseg'] for s in samples])))
    assert classes == set(range(len(CLASSES)))
    parts = set(np.unique(np.stack([s['labels']['human_parts'] for s in samples])))
    assert parts == {*range(len(PARTS)), 255}
    assert all(s['labels']['edge'].mean() < 0.25 for s in samples)
    assert np.mean([s['labels']['edge'].mean() for s in samples]) > 0.05
    assert sum(s['labels']['sal'].any() for s in samples) > 0.9 * len(samples)


def test_parts_cover_persons(samples):
    person = CLASSES.index('person')
    for sample in samples:
        parts, semseg = sample['labels']['human_parts'], sample['labels']['semseg']
        if (parts == 255).any():
            assert (parts == 255).all() and not (semseg == person).any()
        else:
            np.testing.assert_array_equal(parts > 0, semseg == person)


def test_scenes_without_figures():
    ignored = ShapeScenes(labels=['human_parts'], figure_probability=0.0).load(0)['labels']
    assert (ignored['human_parts'] == 255).all()
    dataset = ShapeScenes(
        labels=['human_parts'], figure_probability=0.0, parts_without_figure='background'
    )
    assert (dataset.load(0)['labels']['human_parts'] == 0).all()


def test_salient_things_stand_in_front(samples):
    for sample in samples:
        labels = sample['labels']
        things = labels['semseg'] > CLASSES.index('floor')
        assert not labels['sal'][~things].any()
        front, behind = things & (labels['sal'] == 1), things & (labels['sal'] == 0)
        if front.any() and behind.any():
            assert np.median(labels['depth'][front]) < np.median(labels['depth'][behind])


def test_antialiasing_changes_borders_only(samples):
    plain = ShapeScenes(antialias=1).load(3)
    smooth = samples[3]
    changed = (plain['img'] != smooth['img']).any(2)
    assert 0.01 < changed.mean() < 0.4
    for name, array in plain['labels'].items():
        np.testing.assert_array_equal(array, smooth['labels'][name])


def test_flipping_keeps_labels_consistent():
    from bmtas.datasets.transforms import PackSample, RandomHorizontalFlip

    pipeline = [RandomHorizontalFlip(prob=1.0), PackSample()]
    flipped = ShapeScenes(length=5, pipeline=pipeline)[2]['data_samples'].labels
    plain = ShapeScenes(length=5, pipeline=[PackSample()])[2]['data_samples'].labels
    assert (flipped['semseg'].flip(-1) == plain['semseg']).all()
    assert (flipped['depth'].flip(-1) == plain['depth']).all()
    mirrored = plain['normals'].flip(-1)
    mirrored[0] *= -1
    assert (flipped['normals'] == mirrored).all()


@pytest.mark.parametrize(
    'options, word',
    [
        (dict(labels=['semseg', 'deph']), 'deph'),
        (dict(split='trian'), 'trian'),
        (dict(length=0), 'length'),
        (dict(size=16), 'size'),
        (dict(size=(64, 64, 3)), 'size'),
        (dict(size=64.0), 'size'),
        (dict(seed=-1), 'seed'),
        (dict(figure_probability=1.5), 'figure_probability'),
        (dict(parts_without_figure='none'), 'parts_without_figure'),
        (dict(antialias=0), 'antialias'),
        (dict(shadow_samples=2.5), 'shadow_samples'),
        (dict(neighbours=(-1, 1)), 'neighbours need clips'),
    ],
)
def test_faulty_options(options, word):
    with pytest.raises(ValueError, match=word):
        ShapeScenes(**options)


def test_index_out_of_range():
    with pytest.raises(IndexError, match='no 3'):
        ShapeScenes(length=3).load(3)
