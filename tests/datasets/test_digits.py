import gzip
import struct

import numpy as np
import pytest

from bmtas.datasets import Digits, IdxImages
from bmtas.datasets.digits import SETS


def idx(array, magic):
    return struct.pack(f'>I{array.ndim}I', magic, *array.shape) + array.tobytes()


@pytest.fixture
def mnist(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 28, 28), np.uint8)
    digits = np.arange(20, dtype=np.uint8) % 10
    (tmp_path / 'train-images-idx3-ubyte').write_bytes(idx(images, 0x803))
    (tmp_path / 'train-labels-idx1-ubyte').write_bytes(idx(digits, 0x801))
    for stem, array, magic in (('images-idx3', images, 0x803), ('labels-idx1', digits, 0x801)):
        content = gzip.compress(idx(array[:4], magic))
        (tmp_path / f't10k-{stem}-ubyte.gz').write_bytes(content)
    return tmp_path, images


def test_idx_files_plain_and_packed(mnist):
    root, images = mnist
    data = IdxImages(str(root), 'trainval', size=28)
    assert len(data) == 20 and len(SETS) == 22
    sample = data.load(13)
    assert np.array_equal(sample['img'], np.repeat(images[13][:, :, None], 3, 2))
    for name, members in SETS.items():
        assert int(sample['labels'][name]) == (3 in members)
    assert int(sample['labels']['digit']) == 3
    packed = IdxImages(str(root), 'test')
    assert len(packed) == 4 and packed.load(0)['img'].shape == (32, 32, 3)


@pytest.mark.parametrize(
    ('file', 'change', 'message'),
    [
        ('train-images-idx3-ubyte', lambda b: b[:-5], '15675 bytes of data, the header says'),
        ('train-images-idx3-ubyte', lambda b: b[:6], 'truncated'),
        ('train-labels-idx1-ubyte', lambda b: b'\0\0\x08\x03' + b[4:], '0x00000803, expected 0x0'),
        ('train-labels-idx1-ubyte', lambda b: b[:7] + b'\x13' + b[8:-1], '20 images but 19 labels'),
    ],
)
def test_bad_idx_files_are_one_line(mnist, file, change, message):
    path = mnist[0] / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        IdxImages(str(mnist[0]))
    assert '\n' not in str(error.value)


def test_a_packed_file_that_is_cut_and_one_that_is_missing(mnist):
    path = mnist[0] / 't10k-images-idx3-ubyte.gz'
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match='truncated or damaged'):
        IdxImages(str(mnist[0]), 'test')
    damaged = gzip.compress(bytes(3000))
    path.write_bytes(damaged[:12] + b'\xff' * 10 + damaged[22:])
    with pytest.raises(ValueError, match=r't10k-images-idx3-ubyte.gz: .* damaged .*Error -3'):
        IdxImages(str(mnist[0]), 'test')
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r't10k-images-idx3-ubyte: neither .*\.gz found'):
        IdxImages(str(mnist[0]), 'test')


def test_real_digits():
    sklearn = pytest.importorskip('sklearn.datasets')
    splits = [Digits(split, size=8) for split in ('train', 'val', 'test')]
    assert [len(data) for data in splits] == [1000, 197, 600]
    counts = sum(np.bincount(data.table['digit'], minlength=10) for data in splits)
    whole = sklearn.load_digits()
    assert np.array_equal(counts, np.bincount(whole.target))
    seen = {data.images[i].tobytes() for data in splits for i in range(len(data))}
    scaled = np.round(whole.images * (255 / 16)).astype(np.uint8)
    assert seen == {image.tobytes() for image in scaled}
