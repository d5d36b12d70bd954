import importlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bmtas.cli.base import run_tool
from bmtas.datasets import LabelFile

ROOT = Path(__file__).resolve().parents[2]


def tool(name):
    return partial(run_tool, importlib.import_module(f'bmtas.cli.{name}').main)


CONFIG = """
tasks = [
    dict(name='semseg', kind='classes', num_classes=2, loss=dict(type='CrossEntropyLoss'),
         metric=dict(type='MeanIoU'), score='mIoU'),
    dict(name='depth', kind='depth', loss=dict(type='DepthL1Loss'),
         metric=dict(type='DepthError'), score='rmse'),
]
_dataset = dict(
    type='MultiTaskFolder',
    data_root='nowhere',
    label_files=dict(
        semseg=dict(folder='segmentation', kind='classes', num_classes=2),
        depth=dict(folder='depth', kind='depth', suffix='.npy'),
    ),
    pipeline=[dict(type='PackSample')],
)
train_dataloader = dict(batch_size=1, dataset=dict(split='train', **_dataset))
val_dataloader = dict(batch_size=1, dataset=dict(split='val', **_dataset))
test_dataloader = val_dataloader
"""


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'data'
    for name in ('images', 'segmentation', 'depth', 'gt_sets'):
        (root / name).mkdir(parents=True)
    for name in 'abcd':
        picture = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
        Image.fromarray(picture).save(root / 'images' / f'{name}.jpg')
        Image.fromarray(np.ones((6, 8), np.uint8)).save(root / 'segmentation' / f'{name}.png')
        np.save(root / 'depth' / f'{name}.npy', np.full((6, 8), 2.5, np.float32))
    (root / 'gt_sets' / 'train.txt').write_text('a\nb\n')
    (root / 'gt_sets' / 'val.txt').write_text('c\nd\n')
    (tmp_path / 'config.py').write_text(CONFIG)
    return root


def run_check(folder, *options):
    config = str(folder.parent / 'config.py')
    return tool('check')([config, '--data-root', str(folder), '--workers', '0', *options])


def test_check_of_sound_data(folder, capsys):
    assert run_check(folder) == 0
    out = capsys.readouterr().out
    assert 'no problems in 2 splits' in out and '2.5..2.5' in out and '2 images' in out


def test_check_lists_everything_at_once(folder, capsys):
    (folder / 'images' / 'a.jpg').unlink()
    png = folder / 'segmentation' / 'b.png'
    png.write_bytes(png.read_bytes()[:30])
    np.save(folder / 'depth' / 'b.npy', np.full((6, 8), np.nan, np.float32))
    Image.fromarray(np.full((6, 8), 2, np.uint8)).save(folder / 'segmentation' / 'c.png')
    np.save(folder / 'depth' / 'c.npy', np.ones((3, 8), np.float32))
    np.save(folder / 'depth' / 'd.npy', np.full((6, 8), 2500, np.float32))
    (folder / 'gt_sets' / 'val.txt').write_text('c\r\nd\r\na\r\n')
    report = folder.parent / 'problems.txt'
    assert run_check(folder, '--report', str(report)) == 1
    lines = report.read_text().splitlines()
    expected = [
        'a.jpg: image not found',
        'b.png: cannot be read',
        'b.npy: 48 depths are NaN',
        'c.png: value 2 decodes to class 2, outside 0..1',
        "c.npy: label 'depth' is 3x8, its image c.jpg is 6x8",
        'd.npy: depth up to 2500 m',
        'a.jpg: image not found',
        "1 ids are also in split 'val', e.g. a",
    ]
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected):
        assert part in line
    assert '8 problems' in capsys.readouterr().out


def test_check_of_absent_data_and_splits(folder, capsys):
    (folder / 'gt_sets' / 'val.txt').write_text('')
    assert run_check(folder) == 1
    assert 'the split is empty' in capsys.readouterr().out
    assert run_check(folder, '--data-root', str(folder / 'gone')) == 1
    assert 'gone: data folder of MultiTaskFolder not found' in capsys.readouterr().out


def test_check_rejects_mistakes_in_the_command(folder, capsys):
    assert tool('check')([str(folder / 'none.py')]) == 2
    assert 'does not exist' in capsys.readouterr().err
    shapes = ROOT / 'configs' / '_base_' / 'datasets' / 'shapescenes.py'
    assert tool('check')([str(shapes)]) == 2
    assert 'nothing to check' in capsys.readouterr().err


def test_check_knows_the_size_of_published_splits(tmp_path, capsys):
    root = tmp_path / 'NYUDv2'
    for name in ('images', 'segmentation', 'depth', 'normals', 'edge', 'gt_sets'):
        (root / name).mkdir(parents=True)
    for name in ('0001', '0003'):
        picture = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
        Image.fromarray(picture).save(root / 'images' / f'{name}.png')
        for folder in ('segmentation', 'edge'):
            Image.fromarray(np.zeros((5, 6), np.uint8)).save(root / folder / f'{name}.png')
        normals = np.full((5, 6, 3), (128, 128, 0), np.uint8)
        Image.fromarray(normals).save(root / 'normals' / f'{name}.png')
        np.save(root / 'depth' / f'{name}.npy', np.ones((5, 6), np.float32))
    (root / 'gt_sets' / 'train.txt').write_text('0003\n')
    (root / 'gt_sets' / 'val.txt').write_text('0001\n')
    config = str(ROOT / 'configs' / '_base_' / 'datasets' / 'nyud.py')
    assert tool('check')([config, '--data-root', str(root), '--workers', '0']) == 1
    out = capsys.readouterr().out
    assert '1 images, the train split of NYUD has 795' in out
    assert '1 images, the val split of NYUD has 654' in out
    assert 'train.txt: images are 5x6, those of the archives 425x560 or 480x640' in out
    assert "val.txt: label 'semseg' has no labelled pixel in any of 1 images" in out
    assert "val.txt: label 'edge' is 0 everywhere in 1 images; check its threshold" in out
    assert '8 problems' in out


def test_check_goes_on_after_any_error(folder, monkeypatch, capsys):
    def broken(self, root, img_id):
        raise OverflowError('a surprise')

    monkeypatch.setattr(LabelFile, 'read', broken)
    assert run_check(folder) == 1
    out = capsys.readouterr().out
    assert 'a.png: cannot be read (OverflowError: a surprise)' in out and '8 problems' in out


def test_check_of_labels_of_whole_images(tmp_path, capsys):
    (tmp_path / 'img_align_celeba').mkdir()
    names = [f'{n:06d}.jpg' for n in range(1, 7)]
    rng = np.random.default_rng(0)
    for name in names:
        picture = rng.integers(0, 255, (8, 6, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / 'img_align_celeba' / name)
    rows = [f'{name} {" 1" if n % 2 else "-1"} 1' for n, name in enumerate(names)]
    (tmp_path / 'list_attr_celeba.txt').write_text('\n'.join(['6', 'Young Smiling', *rows]))
    parts = [f'{name} {n // 2}' for n, name in enumerate(names)]
    (tmp_path / 'list_eval_partition.txt').write_text('\n'.join(parts))
    loaders = [
        f"{name}_dataloader = dict(batch_size=1, dataset=dict(type='CelebA', split='{name}',"
        " data_root='nowhere', pipeline=[dict(type='PackSample')]))"
        for name in ('train', 'val', 'test')
    ]
    config = tmp_path / 'config.py'
    config.write_text(
        "tasks = [dict(name='Young', kind='category', num_classes=2)]\n" + '\n'.join(loaders) + '\n'
    )
    command = [str(config), '--data-root', str(tmp_path), '--workers', '0']
    assert tool('check')(command) == 1
    out = capsys.readouterr().out
    assert out.count('2 images, height 8..8, width 6..6') == 3
    assert "img_align_celeba, split 'val': 2 images, the val split of CelebA has 19867" in out
    assert '3 problems' in out
    (tmp_path / 'img_align_celeba' / names[0]).write_bytes(b'no image')
    (tmp_path / 'img_align_celeba' / names[5]).unlink()
    assert tool('check')(command) == 1
    out = capsys.readouterr().out
    assert '000001.jpg: cannot be read' in out and '000006.jpg: image not found' in out
    assert '5 problems' in out


OWN = """
import numpy as np
from bmtas.datasets import MultiTaskDataset
from bmtas.registry import DATASETS

@DATASETS.register_module(force=True)
class OwnScenes(MultiTaskDataset):
    def __init__(self, data_root, first, **options):
        self.first = first
        super().__init__(**options)

    def __len__(self):
        return 2

    def load(self, index):
        number = self.first + index
        depth = np.full((4, 6), 2.0, np.float32)
        labels = dict(depth=depth[: 4 - (number == 3)], unused=0)
        image = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
        return dict(img=image, labels=labels, img_id=f'scene{number}', img_path=None)
"""


def test_check_reads_every_data_set_of_ones_own(tmp_path, monkeypatch, capsys):
    """Two that differ in an option alone are two; a label that no task has is left out."""
    (tmp_path / 'own_scenes.py').write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    lines = [
        "custom_imports = dict(imports=['own_scenes'])",
        "tasks = dict(depth=dict(kind='depth'))",
    ]
    for name, first in (('train', 0), ('val', 2), ('test', 2)):
        lines.append(
            f"{name}_dataloader = dict(batch_size=1, dataset=dict(type='OwnScenes', first={first},"
            " data_root='here', pipeline=[dict(type='PackSample')]))"
        )
    config = tmp_path / 'config.py'
    config.write_text('\n'.join(lines) + '\n')
    assert tool('check')([str(config), '--workers', '0']) == 1
    out = capsys.readouterr().out
    assert out.count('OwnScenes: 2 images') == 2
    assert "OwnScenes: image 1: label 'depth' is 3x6" in out and '1 problems' in out


@pytest.mark.data
def test_check_of_real_images(data_root, capsys):
    config = str(ROOT / 'configs' / '_base_' / 'datasets' / 'tabletop.py')
    assert (
        tool('check')([config, '--data-root', str(data_root / 'tabletop'), '--workers', '0']) == 0
    )
    assert 'no problems in 2 splits' in capsys.readouterr().out
