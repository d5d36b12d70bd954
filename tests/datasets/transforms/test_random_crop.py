import numpy as np
from raw_samples import Draws, rng, sample

from bmtas.datasets import transforms as T


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
