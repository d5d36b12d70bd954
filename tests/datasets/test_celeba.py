import shutil

import numpy as np
import pytest
from PIL import Image

from bmtas.datasets import CelebA, check_datasets


def write_image(path, value, size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path, quality=100)


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
        ('list_attr_celeba.txt', lambda t: '', "0 rows, the first line says ''"),
        ('list_attr_celeba.txt', lambda t: t.replace(' -1', ' 0', 1), 'values -1 or 1'),
        (
            'list_attr_celeba.txt',
            lambda t: t.replace('000003.jpg', '../3.jpg'),
            "id '../3.jpg' leads out of the data folder",
        ),
        ('list_eval_partition.txt', lambda t: t.replace(' 2', ' x'), ':4: expected a file name'),
        ('list_eval_partition.txt', lambda t: t.replace(' 2', ''), ':4: expected a file name'),
        ('list_eval_partition.txt', lambda t: t[:26], '2 rows, the attribute list has 6'),
        ('list_eval_partition.txt', lambda t: t.replace('000002', '000009'), 'same images'),
    ],
)
def test_celeba_files_that_do_not_belong_together(celeba, file, change, message):
    path = celeba[0] / file
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=f'{file}.*{message}'):
        CelebA(str(celeba[0]))


def test_missing_images_are_named_before_anything_is_built(celeba):
    root = celeba[0]
    cfg = dict(train_dataloader=dict(dataset=dict(type='CelebA', data_root=str(root))))
    assert check_datasets(cfg) == {'train_dataloader.dataset': [f'00000{n}.jpg' for n in (1, 3, 5)]}
    (root / 'img_align_celeba' / '000003.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='3 files expected .* 2 of them found.*000003.jpg'):
        check_datasets(cfg)
    shutil.rmtree(root / 'img_align_celeba')
    with pytest.raises(FileNotFoundError, match='the folder is missing.*--data-root'):
        check_datasets(cfg)
