"""Readers: orientation, modes, damaged and hostile files, ids, encodings."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bmtas.datasets import LabelFile, MultiTaskFolder
from bmtas.datasets.check import check_sample
from bmtas.datasets.files import read_array, read_image, read_split

TURNED = {1: 0, 3: 2, 6: 3, 8: 1}
"""EXIF orientation -> quarter turns counter-clockwise that make it upright (without mirrors)."""


def save(path, array, orientation=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if orientation is not None:
        options['exif'] = Image.Exif()
        options['exif'][0x0112] = orientation
    Image.fromarray(array).save(path, **options)
    return path


def picture(height=4, width=6):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('orientation', TURNED)
@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_photos_are_turned_as_they_say(tmp_path, orientation, suffix):
    path = save(tmp_path / f'a{suffix}', picture(), orientation)
    np.testing.assert_array_equal(read_image(path), np.rot90(picture(), TURNED[orientation]))
    # the same rule for label files, by their own entry
    ids = picture()[..., 0]
    path = save(tmp_path / f'l{suffix}', ids, orientation)
    np.testing.assert_array_equal(read_array(path), np.rot90(ids, TURNED[orientation]))


def folder(root, image_orientation, label_shape):
    save(root / 'images' / 'a.png', picture(), image_orientation)
    save(root / 'seg' / 'a.png', np.zeros(label_shape, np.uint8))
    (root / 'gt_sets').mkdir()
    (root / 'gt_sets' / 'train.txt').write_text('a\n')
    files = dict(seg=dict(folder='seg', kind='classes', num_classes=2))
    return MultiTaskFolder(str(root), 'train', label_files=files, img_suffix='.png')


def test_training_reads_photos_upright(tmp_path):
    sample = folder(tmp_path, 6, (6, 4))[0]
    assert sample['img'].shape == (6, 4, 3) and sample['labels']['seg'].shape == (6, 4)


def test_a_mismatch_that_a_turn_explains_says_so(tmp_path):
    dataset = folder(tmp_path, 6, (4, 6))
    with pytest.raises(ValueError, match=r"seg' is 4x6, its image a.png is 6x4.*EXIF"):
        dataset.load(0)
    assert any('EXIF' in line for line in check_sample(dataset, 0).problems)


def test_another_mismatch_does_not(tmp_path):
    dataset = folder(tmp_path, 1, (5, 6))
    with pytest.raises(ValueError, match='must agree$'):
        dataset.load(0)


def test_sixteen_bit_images_are_scaled(tmp_path):
    values = np.array([[0, 256, 32768], [65535, 257, 128]], np.uint16)
    expected = np.rint(values / 65535 * 255).astype(np.uint8)
    for name in ('a.png', 'a.tif'):
        found = read_image(save(tmp_path / name, values))
        assert found.dtype == np.uint8 and found.shape == (2, 3, 3)
        np.testing.assert_array_equal(found, np.repeat(expected[..., None], 3, 2))


@pytest.mark.parametrize(('dtype', 'word'), [(np.int32, '32-bit integers'), (np.float32, 'floats')])
def test_pixels_without_a_range_are_refused(tmp_path, dtype, word):
    path = save(tmp_path / 'a.tif', np.array([[0, 70000]], dtype))
    with pytest.raises(ValueError, match=f'a.tif: the pixels are {word}.*8 or 16 bits'):
        read_image(path)


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', '1', 'LA', 'CMYK'])
def test_other_modes(tmp_path, mode):
    Image.fromarray(picture()).convert(mode).save(tmp_path / 'a.tif')
    expected = np.asarray(Image.open(tmp_path / 'a.tif').convert('RGB'))
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif'), expected)


def test_check_reports_images_of_one_value(tmp_path):
    dataset = folder(tmp_path, 1, (4, 6))
    assert check_sample(dataset, 0).problems == []
    save(tmp_path / 'images' / 'a.png', np.full((4, 6, 3), 255, np.uint8))
    assert 'every pixel is 255' in check_sample(dataset, 0).problems[0]


def huge_png(path, side=20000):
    """A PNG whose header promises 400 megapixels."""

    def chunk(name, data):
        return (
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        )

    header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
    data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + data)
    return path


def test_images_of_four_hundred_megapixels(tmp_path):
    path = huge_png(tmp_path / 'a.png')
    for read in (read_image, read_array):
        with pytest.raises(ValueError, match='a.png: too large to be read'):
            read(path)


def npy(path, header, data=b''):
    """A NumPy file of version 1 with any header."""
    text = header.encode() + b' ' * (-(len(header) + 11) % 64) + b'\n'
    path.write_bytes(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    'header',
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f8', 'fortran_order': False}",
        '(' * 200 + ')' * 200,
        'x' * 60000,
        '__import__("os").system("true")',
    ],
)
def test_hostile_headers(tmp_path, header):
    path = npy(tmp_path / 'a.npy', header, bytes(64))
    with pytest.raises(ValueError, match='a.npy: ') as error:
        read_array(path)
    assert '\n' not in str(error.value)


def test_arrays_of_every_shape(tmp_path):
    for array in (np.array(3), np.zeros((2, 3)), np.asfortranarray(np.arange(6).reshape(2, 3))):
        np.save(tmp_path / 'a.npy', array)
        np.testing.assert_array_equal(read_array(tmp_path / 'a.npy'), array)
    path = tmp_path / 'a.npy'
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match='a.npy: cannot be read'):
        read_array(path)


@pytest.mark.parametrize(
    'name', ['../secret', 'a/../../b', '/etc/passwd', 'C:\\x', '..\\b', '\\\\host\\a', 'a\0b']
)
def test_ids_stay_in_the_data_folder(tmp_path, name):
    (tmp_path / 'train.txt').write_text(f'a\n{name}\n')
    with pytest.raises(ValueError, match='train.txt: id .* leads out of the data folder'):
        read_split(tmp_path / 'train.txt')


def test_ids_in_folders_are_fine(tmp_path):
    (tmp_path / 'train.txt').write_text('seq1/0001\na..b\n..c\n')
    assert read_split(tmp_path / 'train.txt') == ['seq1/0001', 'a..b', '..c']


@pytest.mark.parametrize('encoding', ['utf-16', 'latin-1'])
def test_other_encodings_are_named(tmp_path, encoding):
    (tmp_path / 'train.txt').write_text('Bäume\n', encoding=encoding)
    with pytest.raises(ValueError, match='train.txt is not UTF-8.*save it as UTF-8'):
        read_split(tmp_path / 'train.txt')


def test_partial_labels_name_the_option(tmp_path):
    with pytest.raises(FileNotFoundError, match='a.png: label file not found.*optional=True'):
        LabelFile('seg', 'mask').read(tmp_path, 'a')
