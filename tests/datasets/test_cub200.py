import numpy as np
import pytest
from PIL import Image

from bmtas.datasets import CUB200


def write_image(path, value, size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path, quality=100)


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


@pytest.mark.parametrize(
    ('file', 'change', 'message'),
    [
        ('images.txt', lambda t: t.replace('3 001', 'x 001', 1), 'a number and a word'),
        ('train_test_split.txt', lambda t: t.replace('1 1', '1 2', 1), 'expected 0 or 1'),
        ('attributes/image_attribute_labels.txt', lambda t: '', 'empty, fetch it again'),
        ('attributes/image_attribute_labels.txt', lambda t: '1 1 7 3\n' + t, '1, value 7'),
    ],
)
def test_cub_damaged_files_are_named(cub, file, change, message):
    path = cub[0] / file
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=f'{file}.*{message}'):
        CUB200(str(cub[0]))


def test_cub_names_stay_inside(cub):
    path = cub[0] / 'images.txt'
    path.write_text(path.read_text().replace('001.Albatross/bird_04', '../bird_04'))
    with pytest.raises(ValueError, match=r"images.txt: id '../bird_04.jpg' leads out"):
        CUB200(str(cub[0]))
