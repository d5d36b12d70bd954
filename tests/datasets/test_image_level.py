"""Labels of whole images: small data in each published layout, and what is refused."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from bmtas.datasets import CUB200, CelebA, Digits, IdxImages, MultiTaskFolder, image_level
from bmtas.datasets.digits import SETS
from bmtas.datasets.image_level import held_out


def write_image(path, value, size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path, quality=100)


# ---- tables of MultiTaskFolder

TABLE = 'name;smiling;age\n a ;yes;0\nb;no;2\nc;;1\n'


@pytest.fixture
def folder(tmp_path):
    for img_id in 'abc':
        write_image(tmp_path / 'images' / f'{img_id}.jpg', 9)
    (tmp_path / 'gt_sets').mkdir()
    (tmp_path / 'gt_sets' / 'train.txt').write_text('c\na\nb\n')
    (tmp_path / 'attributes.csv').write_text(TABLE.replace(' ', ''))
    return tmp_path


def columns(smiling=None, age=None):
    common = dict(table='attributes.csv', kind='category', separator=';')
    smiling = dict(column='smiling', num_classes=2, values=dict(yes=1, no=0)) | (smiling or {})
    age = dict(column='age', num_classes=3) | (age or {})
    return dict(smiling=common | smiling, age=common | age)


def test_a_column_is_a_label_and_an_empty_cell_none(folder):
    data = MultiTaskFolder(str(folder), 'train', label_files=columns())
    found = [data.load(index)['labels'] for index in range(3)]
    assert [{k: int(v) for k, v in row.items()} for row in found] == [
        dict(age=1),
        dict(smiling=1, age=0),
        dict(smiling=0, age=2),
    ]


@pytest.mark.parametrize(
    ('text', 'options', 'message'),
    [
        (None, dict(smiling=dict(column='smilling')), "no column 'smilling'; did you mean 'smili"),
        ('name;smiling;age\na;yes;0\na;no;1\n', {}, "attributes.csv:3: id 'a' is listed twice"),
        ('name;smiling;age\na;yes;0\nb;no;1\n', {}, "no row for image 'c'"),
        (None, dict(smiling=dict(values=dict(yes=1))), "image 'b': smiling is 'no', which is not"),
        (None, dict(smiling=dict(values=None)), "smiling is 'yes', no number"),
        (None, dict(age=dict(num_classes=2)), "image 'b'.*value 2"),
        ('name;smiling\na;yes;0\n', {}, 'attributes.csv:2: 3 columns, the first line has 2'),
        (None, dict(age=dict(id_column='id')), "no id column 'id'"),
        (None, dict(age=dict(kind='depth', num_classes=None)), 'depth'),
    ],
)
def test_bad_tables_are_one_line(folder, text, options, message):
    if text:
        (folder / 'attributes.csv').write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        data = MultiTaskFolder(str(folder), 'train', label_files=columns(**options))
        [data.load(index) for index in range(3)]
    assert '\n' not in str(error.value)


def test_a_label_that_never_varies_is_named(folder, monkeypatch):
    said = []
    monkeypatch.setattr(image_level, 'print_log', lambda text, *_: said.append(text))
    (folder / 'attributes.csv').write_text('name;smiling;age\na;yes;0\nb;yes;1\nc;;1\n')
    MultiTaskFolder(str(folder), 'train', label_files=columns())
    assert 'never vary in the training split: smiling; leave' in said[0]


# ---- CelebA

NAMES = [f'Attribute_{n}' for n in range(39)] + ['Young']


@pytest.fixture
def celeba(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.choice([-1, 1], (6, 40))
    lines = ['6', ' '.join(NAMES) + ' ']
    for number, row in enumerate(values, 1):
        write_image(tmp_path / 'img_align_celeba' / f'{number:06d}.jpg', 10 * number)
        lines.append(f'{number:06d}.jpg  ' + '  '.join(map(str, row)))
    (tmp_path / 'list_attr_celeba.txt').write_text('\n'.join(lines) + '\n')
    partition = [f'{n:06d}.jpg {split}' for n, split in enumerate((0, 1, 0, 2, 0, 1), 1)]
    (tmp_path / 'list_eval_partition.txt').write_text('\n'.join(partition) + '\n')
    return tmp_path, values


def test_celeba_reads_its_splits_and_attributes(celeba):
    root, values = celeba
    data = CelebA(str(root), 'val')
    assert len(data) == 2 and len(data.labels) == 40
    sample = data.load(1)
    assert sample['img_id'] == '000006' and abs(int(sample['img'][0, 0, 0]) - 60) < 3
    assert [int(sample['labels'][name]) for name in NAMES] == [int(v == 1) for v in values[5]]


@pytest.mark.parametrize(
    ('file', 'change', 'message'),
    [
        (
            'list_attr_celeba.txt',
            lambda t: t[: t.rindex('000006')],
            "5 rows, the first line .* '6'",
        ),
        ('list_attr_celeba.txt', lambda t: t.replace(' -1', ' 0', 1), 'values -1 or 1'),
        ('list_eval_partition.txt', lambda t: t[:26], '2 rows, the attribute list has 6'),
        ('list_eval_partition.txt', lambda t: t.replace('000002', '000009'), 'same images'),
    ],
)
def test_celeba_files_that_do_not_belong_together(celeba, file, change, message):
    path = celeba[0] / file
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=f'{file}.*{message}'):
        CelebA(str(celeba[0]))


# ---- CUB-200-2011


@pytest.fixture
def cub(tmp_path):
    rng = np.random.default_rng(0)
    training = [1, 0] * 12
    images, splits, rows = [], [], []
    present, certainty = rng.integers(0, 2, (24, 312)), rng.integers(1, 5, (24, 312))
    for number in range(24):
        name = f'001.Albatross/bird_{number:02d}.jpg'
        write_image(tmp_path / 'images' / name, 10 * number)
        images.append(f'{number + 1} {name}')
        splits.append(f'{number + 1} {training[number]}')
        for n in range(312):
            stray = ' 0 1' if (number + n) % 50 == 0 else ''
            rows.append(
                f'{number + 1} {n + 1} {present[number, n]} {certainty[number, n]}{stray} 2.5'
            )
    (tmp_path / 'images.txt').write_text('\n'.join(images))
    (tmp_path / 'train_test_split.txt').write_text('\n'.join(splits))
    (tmp_path / 'attributes').mkdir()
    (tmp_path / 'attributes' / 'image_attribute_labels.txt').write_text('\n'.join(rows))
    return tmp_path, present, certainty


def test_cub_reads_attributes_and_leaves_out_what_is_not_visible(cub):
    root, present, certainty = cub
    data = CUB200(str(root), 'test')
    assert len(data) == 12 and len(data.labels) == 312
    labels = data.load(3)['labels']  # the eighth image
    found = np.array([int(labels[f'attribute_{n:03d}']) for n in range(1, 313)])
    assert np.array_equal(found, np.where(certainty[7] == 1, -1, present[7]))
    kept = CUB200(str(root), 'trainval', not_visible='keep', labels=['attribute_312'])
    assert [int(kept.load(i)['labels']['attribute_312']) for i in range(12)] == list(
        present[::2, 311]
    )
    assert len(CUB200(str(root), 'train')) == 11 and len(CUB200(str(root), 'val')) == 1


def test_cub_files_that_do_not_belong_together(cub):
    root = cub[0]
    path = root / 'train_test_split.txt'
    path.write_text('\n'.join(path.read_text().splitlines()[:-1]))
    with pytest.raises(ValueError, match=r'images.txt lists 24 images, train_test_split.txt 23'):
        CUB200(str(root))


# ---- IDX and scikit-learn's digits


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


def test_every_tenth_training_image_is_held_out():
    train, val = held_out(25, 'train'), held_out(25, 'val')
    assert val.tolist() == [9, 19] and sorted([*train, *val]) == list(range(25))
