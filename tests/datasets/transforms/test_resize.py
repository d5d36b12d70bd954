import numpy as np
import pytest
from raw_samples import rng, sample

from bmtas.datasets import transforms as T
from bmtas.datasets.transforms.resize import resize_lines
from bmtas.kinds import Mask


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
