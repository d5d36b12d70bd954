"""Damaged data of image-level tasks through the command line: one line, file, remedy, code 2."""

import struct

import numpy as np
import pytest
from PIL import Image

from bmtas.cli import run

CONFIG = """
_base_ = [
    '{root}/configs/_base_/datasets/{data}.py',
    '{root}/configs/_base_/models/vgg11_bn_routed.py',
    '{root}/configs/_base_/schedules/routed_short.py',
    '{root}/configs/_base_/default_runtime.py',
]
model = dict(encoder=dict(backbone=dict(width=0.125)), head=dict(pool_size=1))
train_cfg = dict(max_iters=1)
val_cfg = val_dataloader = val_evaluator = None
"""
TABLE = """
_base_ = [
    '{root}/configs/_base_/models/vgg11_bn_routed.py',
    '{root}/configs/_base_/schedules/routed_short.py',
    '{root}/configs/_base_/default_runtime.py',
]
input_size = (32, 32)
model = dict(encoder=dict(backbone=dict(width=0.125)), head=dict(pool_size=1))
tasks = dict(smiling=dict(kind='category', num_classes=2), hat=dict(kind='category', num_classes=2))
_table = dict(table='faces.csv', kind='category', num_classes=2)
_files = dict(smiling=dict(column='smiling', values=dict(yes=1, no=0), **_table),
              hat=dict(column='hat', **_table))
train_dataloader = dict(
    batch_size=2, num_workers=0, collate_fn=dict(type='pseudo_collate'),
    sampler=dict(type='PositionSampler'),
    dataset=dict(type='MultiTaskFolder', data_root='DATA', split='train', label_files=_files,
                 pipeline=[dict(type='PackSample')]),
)
train_cfg = dict(max_iters=1)
val_cfg = val_dataloader = val_evaluator = None
"""


def idx(array, magic):
    return struct.pack(f'>I{array.ndim}I', magic, *array.shape) + array.tobytes()


def said_by_training(tmp_path, capfd, text, root, data='', *options):
    """Exit code and what stands on the error stream."""
    path = tmp_path / 'config.py'
    path.write_text(text.format(root=root, data=data))
    words = [str(path), '--data-root', str(tmp_path), '--work-dir', str(tmp_path / 'run')]
    code = run('train', [*words, '--cfg-options', 'train_dataloader.num_workers=0', *options])
    return code, capfd.readouterr().err


def is_one_line(code, error, *words):
    lines = [line for line in error.splitlines() if 'Warning' not in line and line.strip()]
    assert code == 2 and all(word in lines[-1] for word in words), error
    assert not any(line.startswith(('Traceback', '  File')) for line in lines)


@pytest.mark.parametrize(
    ('table', 'words'),
    [
        ('name,smilling,hat\na,yes,0\nb,no,1\n', ('faces.csv', "no column 'smiling'", 'did you')),
        ('name,smiling,hat\na,yes,0\na,no,1\n', ('faces.csv:3', "id 'a' is listed twice")),
        ('name,smiling,hat\na,yes,0\n', ('faces.csv', "no row for image 'b'")),
        ('name,smiling,hat\na,yes,0\nb,maybe,1\n', ("image 'b'", "'maybe'")),
    ],
)
def test_tables(tmp_path, capfd, request, table, words):
    for name in 'ab':
        (tmp_path / 'images').mkdir(exist_ok=True)
        Image.new('RGB', (32, 32)).save(tmp_path / 'images' / f'{name}.jpg')
    (tmp_path / 'gt_sets').mkdir()
    (tmp_path / 'gt_sets' / 'train.txt').write_text('a\nb\n')
    (tmp_path / 'faces.csv').write_text(table)
    text = TABLE.replace('DATA', str(tmp_path))
    is_one_line(*said_by_training(tmp_path, capfd, text, request.config.rootpath), *words)


@pytest.mark.parametrize(
    ('images', 'labels', 'words'),
    [
        (lambda b: b[:-9], lambda b: b, ('train-images', 'bytes')),
        (lambda b: b, lambda b: b'\0\0\x08\x03' + b[4:], ('train-labels', '0x00000803')),
    ],
)
def test_idx_files(tmp_path, capfd, request, images, labels, words):
    pixels, digits = np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10
    (tmp_path / 'train-images-idx3-ubyte').write_bytes(images(idx(pixels, 0x803)))
    (tmp_path / 'train-labels-idx1-ubyte').write_bytes(labels(idx(digits, 0x801)))
    root = request.config.rootpath
    is_one_line(*said_by_training(tmp_path, capfd, CONFIG, root, 'mnist'), *words)


def test_celeba_lists_of_different_lengths(tmp_path, capfd, request):
    text = (request.config.rootpath / 'configs/_base_/datasets/celeba.py').read_text()
    scope = {}
    exec(text.split('# names of tasks')[0], scope)
    rows = ['2', ' '.join(scope['_names']), *(f'{n}.jpg{" 1" * 40}' for n in (1, 2))]
    (tmp_path / 'list_attr_celeba.txt').write_text('\n'.join(rows))
    (tmp_path / 'list_eval_partition.txt').write_text('1.jpg 0\n')
    found = said_by_training(tmp_path, capfd, CONFIG, request.config.rootpath, 'celeba')
    is_one_line(*found, 'list_eval_partition.txt', '1 rows, the attribute list has 2')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (
            ('model.encoder.keep_ratio=0.001',),
            ('keeps none', 'features_0', "'is_0'", 'raise keep_ratio'),
        ),
        (('model.encoder.keep_ratio=0',), ('keep_ratio', '(0, 1]')),
        (
            ('model.encoder.scheme.name=file', 'model.encoder.scheme.masks=MASKS'),
            ('masks.json', 'masks of the tasks', 'the network has'),
        ),
    ],
)
def test_masks_that_do_not_fit(tmp_path, capfd, request, options, words):
    from bmtas.task_routing import MaskTable

    masks = tmp_path / 'masks.json'
    MaskTable(('a',), {'x': np.ones((1, 4), bool)}, 'random_exact', 0, 1.0).to_file(masks)
    options = [option.replace('MASKS', str(masks)) for option in options]
    found = said_by_training(tmp_path, capfd, CONFIG, request.config.rootpath, 'digits', *options)
    is_one_line(*found, *words)
