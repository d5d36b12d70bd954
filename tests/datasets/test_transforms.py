"""Every transform against results worked out by hand on arrays small enough to read."""

import copy

import numpy as np
import pytest

from bmtas.datasets import transforms as T
from bmtas.datasets.transforms.resize import resize_lines
from bmtas.kinds import Classes, Depth, Mask, Normals, crop_padding

KINDS = dict(semseg=Classes(6), edge=Mask(), depth=Depth(), normals=Normals())


def sample(height=2, width=3):
    count = height * width
    grid = np.arange(count).reshape(height, width)
    normals = np.stack([grid + 1, grid + 2, grid + 3], -1).astype(np.float32)
    return dict(
        img=np.stack([grid * 10, grid * 10 + 1, grid * 10 + 2], -1).astype(np.uint8),
        labels=dict(
            semseg=grid.astype(np.uint8),
            edge=(grid % 2).astype(np.uint8),
            depth=(grid + 1).astype(np.float32),
            normals=normals,
        ),
        kinds=dict(KINDS),
        img_id='a',
    )


class Draws:
    """Stands in for a generator: returns the listed values in turn."""

    def __init__(self, *values):
        self.values = list(values)

    def _next(self, *args, **kwargs):
        return self.values.pop(0)

    random = uniform = integers = _next


def rng():
    return np.random.default_rng(0)


def test_flip_mirrors_and_negates_x():
    out = T.RandomHorizontalFlip()(sample(), Draws(0.4))
    np.testing.assert_array_equal(out['labels']['semseg'], [[2, 1, 0], [5, 4, 3]])
    np.testing.assert_array_equal(out['img'][..., 0], [[20, 10, 0], [50, 40, 30]])
    np.testing.assert_array_equal(out['labels']['depth'], [[3, 2, 1], [6, 5, 4]])
    np.testing.assert_array_equal(out['labels']['normals'][0], [[-3, 4, 5], [-2, 3, 4], [-1, 2, 3]])
    kept = T.RandomHorizontalFlip()(sample(), Draws(0.5))
    np.testing.assert_array_equal(kept['labels']['semseg'], [[0, 1, 2], [3, 4, 5]])


def test_scale_up_divides_depth_and_copies_labels():
    out = T.RandomScale(scales=[0.5, 2.0])(sample(), Draws(1))
    np.testing.assert_array_equal(
        out['labels']['semseg'], np.repeat(np.repeat([[0, 1, 2], [3, 4, 5]], 2, 0), 2, 1)
    )
    np.testing.assert_allclose(out['labels']['depth'][::2, ::2], [[0.5, 1, 1.5], [2, 2.5, 3]])
    # the direction of a surface does not change with the distance
    np.testing.assert_array_equal(out['labels']['normals'][0, 1], [1, 2, 3])
    # bilinear with pixel centres: 0, 0.25, 0.75 of the step of 10 between the first two pixels
    np.testing.assert_allclose(out['img'][0, :4, 0], [0, 2.5, 7.5, 12.5], atol=0.51)


def test_scale_size_is_truncated():
    out = T.RandomScale(scale_range=(0.5, 2.0))(sample(5, 7), Draws(0.75))
    assert out['img'].shape == (3, 5, 3)
    assert {array.shape[:2] for array in out['labels'].values()} == {(3, 5)}


def test_scale_draws_stay_in_range():
    transform = T.RandomScale(scales=[0.5, 0.75, 2.0])
    generator = rng()
    drawn = {transform.choice.draw(generator) for _ in range(60)}
    assert drawn == {0.5, 0.75, 2.0}
    transform = T.RandomScale(scale_range=(0.5, 2.0))
    drawn = [transform.choice.draw(generator) for _ in range(200)]
    assert 0.5 <= min(drawn) < 0.6 and 1.9 < max(drawn) <= 2.0


def test_resize_halves_without_touching_depth():
    out = T.Resize(factor=0.5)(sample(4, 5), rng())
    # floor(5 / 2) columns, each from the pixel under its centre: rows 1, 3 and columns 1, 3
    np.testing.assert_array_equal(out['labels']['semseg'], [[6, 8], [16, 18]])
    np.testing.assert_array_equal(out['labels']['depth'], [[7, 9], [17, 19]])
    assert out['img'].shape == (2, 2, 3)
    block = T.Resize(factor=0.5)(sample(4, 4), rng())['img']
    np.testing.assert_array_equal(block[..., 0], [[25, 45], [105, 125]])  # means of 2 x 2 pixels


def test_resize_of_the_image_alone():
    results = sample(4, 4)
    out = T.Resize(size=2, labels=False)(results, rng())
    assert out['img'].shape == (2, 2, 3) and out['predict_at'] == (4, 4)
    for name, array in results['labels'].items():
        np.testing.assert_array_equal(out['labels'][name], array)
    packed = T.PackSample()(dict(out, ori_shape=(4, 4)), rng())['data_samples']
    assert packed.predict_at == (4, 4) and packed.img_shape == (2, 2)


@pytest.mark.parametrize('interpolation', ['area', 'bilinear', 'cubic', 'lanczos'])
def test_resize_to_a_size_keeps_constants(interpolation):
    results = sample(6, 9)
    results['img'] = np.full((6, 9, 3), 77, np.uint8)
    out = T.Resize(size=(4, 6), interpolation=interpolation)(results, rng())
    assert out['img'].shape == (4, 6, 3) and (out['img'] == 77).all()


def test_resize_two_thirds_floors_exactly():
    out = T.Resize(factor=2 / 3)(sample(9, 12), rng())
    assert out['img'].shape[:2] == (6, 8)


def test_resize_keeps_lines_whole():
    mask = np.zeros((8, 8), np.uint8)
    mask[2] = 1  # nearest pixels at half size come from rows 1, 3, 5, 7: the line would vanish
    np.testing.assert_array_equal(resize_lines(Mask(), mask, (4, 4))[1], [1, 1, 1, 1])
    assert resize_lines(Mask(), mask, (4, 4)).sum() == 4
    mask[4:] = 255
    assert (resize_lines(Mask(), mask, (4, 4))[2:] == 255).all()
    results = sample(8, 8)
    results['labels']['edge'] = (mask == 1).astype(np.uint8)
    out = T.Resize(factor=0.5, lines=['edge'])(results, rng())
    assert out['labels']['edge'].sum() == 4


def test_crop_position_and_contents():
    out = T.RandomCrop((1, 2))(sample(), Draws(1, 0))
    np.testing.assert_array_equal(out['labels']['semseg'], [[3, 4]])
    np.testing.assert_array_equal(out['img'][..., 0], [[30, 40]])
    positions = {
        int(T.RandomCrop((1, 2))(sample(), np.random.default_rng(s))['labels']['semseg'][0, 0])
        for s in range(60)
    }
    assert positions == {0, 1, 3, 4}


def test_crop_pads_around_the_centre():
    out = T.RandomCrop((5, 4))(sample(), rng())
    # delta 3 rows: 1 above, 2 below; delta 1 column: 0 left, 1 right
    np.testing.assert_array_equal(
        out['labels']['semseg'],
        [
            [255, 255, 255, 255],
            [0, 1, 2, 255],
            [3, 4, 5, 255],
            [255, 255, 255, 255],
            [255, 255, 255, 255],
        ],
    )
    assert out['img'].dtype == np.float32
    assert (out['img'][0] == 127.5).all() and (out['img'][:, 3] == 127.5).all()
    np.testing.assert_array_equal(out['img'][1:3, :3], sample()['img'])
    assert (out['labels']['edge'][0] == 255).all()
    assert (out['labels']['depth'][3:] == 0).all()
    assert (out['labels']['normals'][:, 3] == 0).all()


def test_crop_pads_one_side_and_cuts_the_other():
    out = T.RandomCrop((4, 2))(sample(), Draws(0, 1))
    np.testing.assert_array_equal(out['labels']['semseg'], [[255, 255], [1, 2], [4, 5], [255, 255]])


def test_crop_without_padding_stays_small():
    assert T.RandomCrop((4, 2), pad=False)(sample(), rng())['img'].shape == (2, 2, 3)


def test_crop_avoids_windows_of_one_class():
    results = sample(4, 8)
    semseg = np.zeros((4, 8), np.uint8)
    semseg[:, 7] = 1
    results['labels']['semseg'] = semseg
    crop = T.RandomCrop((4, 2), cat_max_ratio=0.75)
    # first window columns 0-1 (one class), then 6-7 (half and half)
    out = crop(results, Draws(0, 0, 0, 6))
    np.testing.assert_array_equal(out['labels']['semseg'][0], [0, 1])
    # ignored pixels do not count: 1 of 1 labelled pixel is one class, ten tries are used up
    semseg[:] = 255
    semseg[0, 0] = 3
    draws = Draws(*([0] * 22))
    crop(results, draws)
    assert draws.values == []


def test_pad_to_records_what_crop_padding_removes():
    out = T.PadTo((4, 6))(sample(), rng())
    assert out['pad'] == (1, 1, 1, 2)
    assert out['img'].shape == (4, 6, 3)
    assert (out['labels']['semseg'][0] == 255).all()
    np.testing.assert_array_equal(
        crop_padding(out['labels']['semseg'], out['pad']), sample()['labels']['semseg']
    )
    larger = T.PadTo(2)(sample(), rng())
    assert larger['pad'] == (0, 0, 0, 0) and larger['img'].shape == (2, 3, 3)
    coloured = T.PadTo((2, 5), img_fill=(1, 2, 3))(sample(), rng())
    np.testing.assert_array_equal(coloured['img'][0, 0], [1, 2, 3])
    assert coloured['img'].dtype == np.uint8


def test_affine_quarter_turn():
    results = sample(3, 3)
    out = T.RandomAffine(angle=90, scales=[1.0])(results, Draws(90.0, 0))
    # counter-clockwise on the screen: the right column becomes the top row
    np.testing.assert_array_equal(out['labels']['semseg'], [[2, 5, 8], [1, 4, 7], [0, 3, 6]])
    # the vector (1, 2, 3) at the top left moves to the bottom left; (x, y) turns to (y, -x)
    np.testing.assert_allclose(out['labels']['normals'][2, 0], [2, -1, 3], atol=1e-6)


def test_affine_zoom():
    results = sample(5, 5)
    results['labels']['normals'][:] = (0, 0, 1)
    out = T.RandomAffine(scales=[0.5])(results, Draws(0.0, 0))
    semseg = out['labels']['semseg']
    assert semseg[2, 2] == 12 and out['labels']['depth'][2, 2] == 13 / 0.5
    # half the size in the same frame: a border that is ignored, and invalid depth and normals
    assert (semseg[0] == 255).all() and (out['labels']['depth'][0] == 0).all()
    assert (out['labels']['normals'][0] == 0).all()


def test_affine_turns_normals_as_it_turns_positions():
    """A radial field of vectors looks the same after any rotation about the centre."""
    ys, xs = np.mgrid[0:65, 0:65].astype(np.float32) - 32
    field = np.stack([xs, ys, np.full_like(xs, 20)], -1)
    field /= np.linalg.norm(field, axis=-1, keepdims=True)
    results = dict(
        img=np.zeros((65, 65, 3), np.uint8), labels=dict(normals=field), kinds=dict(KINDS)
    )
    out = T.RandomAffine(angle=20, scales=[1.0])(results, Draws(17.0, 0))['labels']['normals']
    inside = np.hypot(xs, ys) < 30
    assert np.abs(out - field)[inside].max() < 0.05


def test_photometric_steps():
    img = np.full((2, 2, 3), 100, np.uint8)
    results = dict(img=img, labels={}, kinds={})
    transform = T.PhotoMetricDistortion()
    # brightness on, offset 10; contrast off; no saturation, no hue
    out = transform(results, Draws(0.1, 10.0, 0.9, 0.9, 1.0, 0.9, 0.9, 1.0, 0))
    assert (out['img'] == 110).all()
    # contrast last, factor 1.5, after a hue shift that leaves grey alone
    out = transform(results, Draws(0.9, 0.9, 0.1, 1.5, 0.9, 0.1, 1.0, 9))
    assert (out['img'] == 150).all()
    results['img'] = np.full((2, 2, 3), (200, 0, 0), np.uint8)
    # a hue shift of 60 of 180 turns red to green
    out = transform(results, Draws(0.9, 0.9, 0.9, 1.0, 0.9, 0.1, 1.0, 60))
    assert (out['img'] == (0, 200, 0)).all()
    results['img'] = np.full((2, 2, 3), (200, 100, 100), np.uint8)
    # half the saturation: the spread of 100 becomes 50
    out = transform(results, Draws(0.9, 0.9, 0.9, 1.0, 0.1, 0.9, 0.5, 0))
    np.testing.assert_allclose(out['img'][0, 0], (200, 150, 150), atol=2)
    with pytest.raises(ValueError, match='before padding'):
        transform(dict(img=np.zeros((2, 2, 3), np.float32)), rng())


def test_absent_foreground_is_ignored():
    results = sample()
    results['labels']['parts'] = np.array([[0, 255, 0], [0, 0, 0]], np.uint8)
    results['kinds']['parts'] = Classes(7)
    transform = T.IgnoreAbsentForeground(['parts', 'missing'])
    out = transform(results, rng())
    assert (out['labels']['parts'] == 255).all()
    np.testing.assert_array_equal(out['labels']['semseg'], results['labels']['semseg'])
    results['labels']['parts'][1, 1] = 4
    np.testing.assert_array_equal(
        transform(results, rng())['labels']['parts'], [[0, 255, 0], [0, 4, 0]]
    )


@pytest.mark.parametrize(
    'transform',
    [
        T.RandomHorizontalFlip(1.0),
        T.RandomScale(scales=[0.5, 1.0, 2.0]),
        T.Resize(factor=0.5, lines=['edge']),
        T.RandomCrop((5, 2), cat_max_ratio=0.75),
        T.PadTo(16),
        T.RandomAffine(angle=20, scale_range=(0.75, 1.25)),
        T.PhotoMetricDistortion(),
        T.IgnoreAbsentForeground(['edge']),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_transforms_are_pure(transform):
    for seed in range(5):
        results = sample(7, 9)
        before = copy.deepcopy(results)
        first = transform(results, np.random.default_rng(seed))
        for key in ('img',):
            np.testing.assert_array_equal(results[key], before[key])
        for name, array in before['labels'].items():
            np.testing.assert_array_equal(results['labels'][name], array)
        second = transform(copy.deepcopy(before), np.random.default_rng(seed))
        np.testing.assert_array_equal(first['img'], second['img'])
        for name, array in first['labels'].items():
            np.testing.assert_array_equal(array, second['labels'][name])
            assert array.shape[:2] == first['img'].shape[:2]


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: T.RandomScale(), 'either scales'),
        (lambda: T.RandomScale(scales=[0.0]), 'positive'),
        (lambda: T.RandomHorizontalFlip(2), r'\[0, 1\]'),
        (lambda: T.RandomCrop((3, 0)), 'positive integers'),
        (lambda: T.RandomCrop(3, cat_max_ratio=0), 'cat_max_ratio'),
        (lambda: T.Resize(), 'either factor'),
        (lambda: T.Resize(factor=-1), 'positive'),
        (lambda: T.Resize(factor=1, interpolation='nearest'), 'unknown interpolation'),
        (lambda: T.RandomAffine(angle=-3, scales=[1]), 'angle'),
    ],
)
def test_bad_options(build, message):
    with pytest.raises(ValueError, match=message):
        build()
