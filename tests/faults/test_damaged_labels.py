"""Files that were damaged at random are read, or refused in one line that names the file."""

import io
import struct

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bmtas.datasets import LabelFile, read_image
from bmtas.datasets.files import read_split
from bmtas.kinds import Category, Classes, Depth, Mask, Normals

RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 3, (9, 11), dtype=np.uint8)
VECTORS = RNG.normal(size=(9, 11, 3))
VECTORS /= np.linalg.norm(VECTORS, axis=-1, keepdims=True)
BYTES = np.rint(127.5 * VECTORS + 127.5).astype(np.uint8)


def image(array, fmt, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, fmt, **options)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def mat(array):
    stream = io.BytesIO()
    scipy.io.savemat(stream, dict(folder=array))
    return stream.getvalue()


def label(kind):
    return lambda root, name, suffix: LabelFile('.', kind, suffix, 'folder').read(root, name)


def photo(root, name, suffix):
    read_image(root / f'{name}{suffix}')


def split(root, name, suffix):
    read_split(root / f'{name}{suffix}')


READERS = {
    'photo': (photo, '.jpg', image(np.repeat(80 * IDS[..., None], 3, 2), 'JPEG')),
    'photo16': (photo, '.png', image(IDS.astype(np.uint16) * 9000, 'PNG')),
    'tiff': (photo, '.tif', image(IDS, 'TIFF', exif=Image.Exif())),
    'classes': (label(Classes(3)), '.png', image(IDS, 'PNG')),
    'classes.npy': (label(Classes(3, ignore=-1)), '.npy', npy(IDS.astype(np.int64) - 1)),
    'classes.mat': (label(Classes(3)), '.mat', mat(IDS)),
    'mask': (label(Mask(threshold=1)), '.bmp', image(IDS, 'BMP')),
    'depth': (label(Depth(nan_invalid=True)), '.npy', npy(IDS.astype(np.float32))),
    'normals': (label(Normals()), '.png', image(BYTES, 'PNG')),
    'normals.npy': (label(Normals()), '.npy', npy(VECTORS)),
    'category': (label(Category(3)), '.npy', npy(np.array(2))),
    'split': (split, '.txt', b'a\nb/c\nd\n'),
}  # fmt: skip


def changed(data, content):
    """Content after a few random changes: bytes, pieces, numbers of a header, length."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        how = data.draw(st.sampled_from(['byte', 'cut', 'piece', 'number', 'twice', 'nothing']))
        if how == 'byte' and content:
            content[place] = data.draw(st.integers(0, 255))
        elif how == 'cut':
            del content[place:]
        elif how == 'piece':
            content[place : place + 4] = data.draw(st.binary(max_size=8))
        elif how == 'number':
            value = data.draw(st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1, 65536, 10**6]))
            content[place : place + 4] = struct.pack(data.draw(st.sampled_from('<>')) + 'I', value)
        elif how == 'twice':
            content[place:place] = content[: data.draw(st.integers(0, 64))]
    return bytes(content)


def check(name, data, root):
    read, suffix, content = READERS[name]
    path = root / f'x{suffix}'
    path.write_bytes(changed(data, content))
    try:
        read(root, 'x', suffix)
    except (ValueError, FileNotFoundError) as error:
        assert f'x{suffix}' in str(error), error
        assert '\n' not in str(error), error


@pytest.mark.parametrize('name', READERS)
@pytest.mark.filterwarnings('ignore')
def test_damaged_files(name, tmp_path):
    @settings(max_examples=10, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def run(data):
        check(name, data, tmp_path)

    run()


@pytest.mark.slow
@pytest.mark.parametrize('name', READERS)
@pytest.mark.filterwarnings('ignore')
def test_many_damaged_files(name, tmp_path):
    @settings(max_examples=300, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def run(data):
        check(name, data, tmp_path)

    run()
