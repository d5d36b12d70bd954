"""Folders of files: decoding by hand-made files, positions, workers, all kinds of bad input."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from bmtas.datasets import LabelFile, MultiTaskFolder
from bmtas.datasets.files import read_array, read_image, read_split
from bmtas.kinds import Classes
from bmtas.tasks import build_tasks, label_kinds

LABEL_FILES = dict(
    semseg=dict(folder='segmentation', kind='classes', num_classes=3),
    depth=dict(folder='depth', kind='depth', scale=0.001),
    normals=dict(folder='normals', kind='normals'),
    edge=dict(folder='edge', kind='mask', threshold=127),
)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_folder(root, ids=('a', 'b'), height=6, width=8):
    rng = np.random.default_rng(0)
    for name in ids:
        img = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        save(root / 'images' / f'{name}.jpg', img)
        semseg = rng.integers(0, 3, (height, width), dtype=np.uint8)
        semseg[0, 0] = 255
        save(root / 'segmentation' / f'{name}.png', semseg)
        depth = rng.integers(500, 3000, (height, width)).astype(np.uint16)
        depth[0, 0] = 0
        save(root / 'depth' / f'{name}.png', depth)
        normals = rng.normal(size=(height, width, 3))
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        normals = np.rint(127.5 + 127.5 * normals).astype(np.uint8)
        normals[0, 0] = 0
        normals[0, 1] = (255, 128, 128)
        save(root / 'normals' / f'{name}.png', normals)
        save(
            root / 'edge' / f'{name}.png',
            255 * rng.integers(0, 2, (height, width)).astype(np.uint8),
        )
    split = root / 'gt_sets' / 'train.txt'
    split.parent.mkdir(exist_ok=True)
    split.write_text('\n'.join(ids) + '\n')
    return root


def folder(root, **kwargs):
    return MultiTaskFolder(str(root), 'train', label_files=LABEL_FILES, **kwargs)


def test_decoding(tmp_path):
    write_folder(tmp_path)
    results = folder(tmp_path).load(1)
    raw = {
        name: np.asarray(Image.open(tmp_path / spec['folder'] / 'b.png'))
        for name, spec in LABEL_FILES.items()
    }
    labels = results['labels']
    np.testing.assert_array_equal(labels['semseg'], raw['semseg'])
    assert labels['semseg'].dtype == np.uint8 and labels['semseg'][0, 0] == 255
    np.testing.assert_allclose(labels['depth'], raw['depth'] / 1000, rtol=1e-6)
    assert labels['depth'].dtype == np.float32 and labels['depth'][0, 0] == 0
    np.testing.assert_array_equal(labels['edge'], raw['edge'] // 255)
    assert (labels['normals'][0, 0] == 0).all()
    np.testing.assert_allclose(labels['normals'][0, 1], [1, 0.004, 0.004], atol=1e-3)
    lengths = np.linalg.norm(labels['normals'], axis=-1)
    np.testing.assert_allclose(lengths.ravel()[1:], 1, atol=1e-5)
    kinds = {name: str(kind) for name, kind in folder(tmp_path).kinds.items()}
    assert kinds == {name: spec['kind'] for name, spec in LABEL_FILES.items()}
    assert results['img'].shape == (6, 8, 3) and results['img_id'] == 'b'


def test_classes_offset_remap_and_several_ignored(tmp_path):
    raw = np.array([[0, 1, 2], [40, 255, 3]], np.uint8)
    save(tmp_path / 'seg' / 'a.png', raw)
    shifted = LabelFile('seg', 'classes', num_classes=40, ignore=[0, 255], offset=-1)
    np.testing.assert_array_equal(shifted.read(tmp_path, 'a'), [[255, 0, 1], [39, 255, 2]])
    mapped = LabelFile('seg', 'classes', num_classes=2, remap={1: 0, 40: 1})
    np.testing.assert_array_equal(mapped.read(tmp_path, 'a'), [[255, 0, 255], [1, 255, 255]])


def test_palette_png_gives_indices(tmp_path):
    indices = np.array([[0, 1], [2, 255]], np.uint8)
    img = Image.new('P', (2, 2))
    img.putdata(indices.ravel().tolist())
    img.putpalette([7 * i % 256 for i in range(768)])
    (tmp_path / 'seg').mkdir()
    img.save(tmp_path / 'seg' / 'a.png')
    np.testing.assert_array_equal(
        LabelFile('seg', 'classes', num_classes=3).read(tmp_path, 'a'), indices
    )


def test_npy_and_mat_labels(tmp_path):
    depth = np.array([[1.5, 0.0]], np.float32)
    (tmp_path / 'depth').mkdir()
    np.save(tmp_path / 'depth' / 'a.npy', depth)
    np.testing.assert_array_equal(
        LabelFile('depth', 'depth', suffix='.npy').read(tmp_path, 'a'), depth
    )
    # the key of a .mat file is the folder's name by default
    scipy.io.savemat(tmp_path / 'depth' / 'a.mat', dict(depth=depth, other=depth + 1))
    np.testing.assert_array_equal(
        LabelFile('depth', 'depth', suffix='.mat').read(tmp_path, 'a'), depth
    )
    np.testing.assert_array_equal(
        LabelFile('depth', 'depth', suffix='.mat', key='other').read(tmp_path, 'a'), depth + 1
    )


def test_mask_ignore_and_normals_formats(tmp_path):
    save(tmp_path / 'sal' / 'a.png', np.array([[0, 1, 255]], np.uint8))
    np.testing.assert_array_equal(
        LabelFile('sal', 'mask', ignore=255).read(tmp_path, 'a'), [[0, 1, 255]]
    )
    (tmp_path / 'n').mkdir()
    np.save(tmp_path / 'n' / 'a.npy', np.array([[[0, 0, -1.05], [0, 0, 0]]]))
    np.testing.assert_array_equal(
        LabelFile('n', 'normals', suffix='.npy').read(tmp_path, 'a'), [[[0, 0, -1], [0, 0, 0]]]
    )
    np.testing.assert_array_equal(
        LabelFile('n', 'normals', suffix='.npy', flip=(1, -1, -1)).read(tmp_path, 'a')[0, 0],
        [0, 0, 1],
    )
    np.save(tmp_path / 'n' / 'b.npy', np.array([[[65535, 32767, 32768], [0, 0, 0]]], np.uint16))
    decoded = LabelFile('n', 'normals', suffix='.npy').read(tmp_path, 'b')
    np.testing.assert_allclose(decoded[0], [[1, 0, 0], [0, 0, 0]], atol=1e-4)


def test_optional_label_may_be_absent(tmp_path):
    write_folder(tmp_path)
    (tmp_path / 'depth' / 'b.png').unlink()
    files = dict(LABEL_FILES, depth=dict(LABEL_FILES['depth'], optional=True))
    dataset = MultiTaskFolder(str(tmp_path), 'train', label_files=files)
    assert 'depth' in dataset.load(0)['labels'] and 'depth' not in dataset.load(1)['labels']
    assert dataset.missing_files() == {}


def test_only_the_labels_asked_for_are_read(tmp_path):
    write_folder(tmp_path)
    (tmp_path / 'depth' / 'b.png').unlink()
    dataset = folder(tmp_path, labels=['edge'])
    assert list(dataset.load(1)['labels']) == ['edge']
    assert dataset.missing_files() == {}


def test_missing_files_are_listed_by_folder(tmp_path):
    write_folder(tmp_path, ids=('a', 'b', 'c'))
    (tmp_path / 'depth' / 'b.png').unlink()
    (tmp_path / 'images' / 'c.jpg').unlink()
    missing = folder(tmp_path).missing_files()
    assert missing == {tmp_path / 'depth': ['b.png'], tmp_path / 'images': ['c.jpg']}


PIPELINE = [
    dict(type='RandomScale', scales=[0.5, 1.0, 2.0]),
    dict(type='RandomCrop', size=(5, 7)),
    dict(type='RandomHorizontalFlip'),
    dict(type='PackSample'),
]


def same(first, second):
    a, b = first['data_samples'], second['data_samples']
    return (first['inputs'].equal(second['inputs'])) and all(
        a.labels[name].equal(b.labels[name]) for name in LABEL_FILES
    )


def test_samples_do_not_depend_on_workers(tmp_path):
    write_folder(tmp_path, ids='abcde')
    dataset = folder(tmp_path, pipeline=PIPELINE, augmentation_seed=3)
    positions = [0, 7, 4, 12, 3, 9]

    def run(workers):
        loader = DataLoader(
            dataset, 2, sampler=positions, num_workers=workers, collate_fn=pseudo_collate
        )
        return [
            dict(inputs=img, data_samples=sample)
            for batch in loader
            for img, sample in zip(batch['inputs'], batch['data_samples'])
        ]

    alone, shared = run(0), run(2)
    assert len(alone) == 6 and all(same(a, b) for a, b in zip(alone, shared))


def test_augmentation_changes_with_epoch_and_seed(tmp_path):
    write_folder(tmp_path)
    dataset = folder(tmp_path, pipeline=PIPELINE, augmentation_seed=3)
    again = folder(tmp_path, pipeline=PIPELINE, augmentation_seed=3)
    other = folder(tmp_path, pipeline=PIPELINE, augmentation_seed=4)
    epochs = range(8)
    assert all(same(dataset[2 * e], again[2 * e]) for e in epochs)
    assert not all(same(dataset[0], dataset[2 * e]) for e in epochs)
    assert not all(same(dataset[2 * e], other[2 * e]) for e in epochs)
    assert dataset[6]['data_samples'].img_id == 'a'


# ---- bad input: one clear line each


def raises(error, match, call):
    with pytest.raises(error, match=match) as caught:
        call()
    assert '\n' not in str(caught.value)


def test_split_with_windows_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_bytes('\ufeffa\r\nb\r\n\r\n'.encode())
    assert read_split(path) == ['a', 'b']


def test_bad_splits(tmp_path):
    path = tmp_path / 'train.txt'
    path.write_text('\n \n')
    raises(ValueError, 'train.txt: the split is empty', lambda: read_split(path))
    path.write_text('a\nb\na\nc\nb\n')
    raises(ValueError, 'train.txt: 2 ids are listed more than once: a, b', lambda: read_split(path))
    raises(FileNotFoundError, 'there are train', lambda: read_split(tmp_path / 'val.txt'))


def test_missing_folder_and_unknown_label(tmp_path):
    raises(FileNotFoundError, 'data folder of .* not found', lambda: folder(tmp_path / 'nowhere'))
    write_folder(tmp_path)
    raises(ValueError, "did you mean 'depth'", lambda: folder(tmp_path, labels=['dept']))


def test_id_without_files(tmp_path):
    write_folder(tmp_path)
    (tmp_path / 'gt_sets' / 'train.txt').write_text('a\nb\nghost\n')
    dataset = folder(tmp_path)
    raises(FileNotFoundError, 'ghost.jpg: image not found', lambda: dataset[2])
    (tmp_path / 'depth' / 'a.png').unlink()
    raises(FileNotFoundError, r'depth.a.png: label file not found', lambda: dataset[0])
    for suffix in ('.mat', '.npy'):
        path = tmp_path / f'gone{suffix}'
        raises(FileNotFoundError, 'label file not found', lambda path=path: read_array(path, 'x'))


def test_label_of_another_size(tmp_path):
    write_folder(tmp_path)
    save(tmp_path / 'edge' / 'a.png', np.zeros((8, 6), np.uint8))
    raises(
        ValueError,
        r"edge.a.png: label 'edge' is 8x6, its image a.jpg is 6x8",
        lambda: folder(tmp_path)[0],
    )


def test_class_id_outside_the_range(tmp_path):
    write_folder(tmp_path)
    save(tmp_path / 'segmentation' / 'a.png', np.full((6, 8), 3, np.uint8))
    raises(
        ValueError,
        r'a.png: value 3 decodes to class 3, outside 0..2',
        lambda: folder(tmp_path)[0],
    )
    shifted = LabelFile('segmentation', 'classes', num_classes=3, offset=-4)
    raises(ValueError, 'class -1, outside', lambda: shifted.read(tmp_path, 'a'))


@pytest.mark.parametrize('keep', [0, 20, 0.5, 0.95])
def test_truncated_png_and_jpg(tmp_path, keep):
    write_folder(tmp_path, height=40, width=50)
    for path in (tmp_path / 'segmentation' / 'a.png', tmp_path / 'images' / 'b.jpg'):
        data = path.read_bytes()
        path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    dataset = folder(tmp_path)
    raises(ValueError, 'a.png: cannot be read', lambda: dataset[0])
    raises(ValueError, 'b.jpg: cannot be read', lambda: dataset[1])


@pytest.mark.parametrize('compress', [False, True])
@pytest.mark.parametrize('keep', [0, 100, 0.5, 0.95])
def test_truncated_mat_and_npy(tmp_path, keep, compress):
    array = np.random.default_rng(0).integers(0, 460, (30, 40)).astype(np.uint16)
    scipy.io.savemat(tmp_path / 'a.mat', dict(LabelMap=array), do_compression=compress)
    np.save(tmp_path / 'a.npy', array)
    for name in ('a.mat', 'a.npy'):
        path = tmp_path / name
        data = path.read_bytes()
        path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
        raises(
            ValueError,
            f'{name}: (cannot be read|no variable)',
            lambda path=path: read_array(path, 'LabelMap'),
        )


def test_mat_without_the_variable_and_unknown_suffix(tmp_path):
    scipy.io.savemat(tmp_path / 'a.mat', dict(x=np.zeros(2)))
    raises(
        ValueError,
        r"no variable 'y', the file has \['x'\]",
        lambda: read_array(tmp_path / 'a.mat', 'y'),
    )
    raises(ValueError, 'unknown suffix', lambda: read_array(tmp_path / 'a.xyz'))
    (tmp_path / 'no.png').write_text('not a picture')
    raises(ValueError, 'cannot be read', lambda: read_array(tmp_path / 'no.png'))
    raises(ValueError, 'cannot be read', lambda: read_image(tmp_path / 'no.png'))


@pytest.mark.parametrize(
    'content', [np.zeros((0, 0), np.uint16), 'text', dict(x=1), np.array([['a']], object)]
)
def test_content_that_is_no_map(tmp_path, content):
    scipy.io.savemat(tmp_path / 'a.mat', dict(LabelMap=content))
    raises(
        ValueError,
        'a.mat: holds no map of numbers',
        lambda: read_array(tmp_path / 'a.mat', 'LabelMap'),
    )


def test_bad_depth(tmp_path):
    (tmp_path / 'd').mkdir()
    np.save(tmp_path / 'd' / 'a.npy', np.array([[1.0, np.nan, -3.0, np.inf]], np.float32))
    raises(
        ValueError,
        'a.npy: 3 depths are NaN, infinite or negative; set nan_invalid=True',
        lambda: LabelFile('d', 'depth', suffix='.npy').read(tmp_path, 'a'),
    )
    tolerant = LabelFile('d', 'depth', suffix='.npy', nan_invalid=True)
    np.testing.assert_array_equal(tolerant.read(tmp_path, 'a'), [[1, 0, 0, 0]])


def test_wrong_shapes(tmp_path):
    save(tmp_path / 'x' / 'a.png', np.zeros((4, 5, 3), np.uint8))
    save(tmp_path / 'x' / 'b.png', np.zeros((4, 5), np.uint8))
    for kind, options in (('classes', dict(num_classes=2)), ('mask', {}), ('depth', {})):
        reader = LabelFile('x', kind, **options)
        raises(ValueError, 'two dimensions', lambda reader=reader: reader.read(tmp_path, 'a'))
    raises(ValueError, r'\(H, W, 3\)', lambda: LabelFile('x', 'normals').read(tmp_path, 'b'))


def test_bad_label_declarations():
    raises(ValueError, 'unknown kind', lambda: LabelFile('x', 'edges'))
    raises(ValueError, "no option 'scale'", lambda: LabelFile('x', 'mask', scale=2))
    raises(ValueError, 'needs num_classes', lambda: LabelFile('x', 'classes'))
    raises(ValueError, "no key 'ignore'", lambda: LabelFile('x', Classes(3), ignore=0))


@pytest.mark.data
@pytest.mark.parametrize(('name', 'sizes'), [('tabletop', (45, 62)), ('camvid', (367, 101, 233))])
def test_real_folders_load(data_root, name, sizes):
    from mmengine.config import Config

    root = Path(__file__).resolve().parents[2]
    cfg = Config.fromfile(root / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    for key, size in zip(loaders, sizes):
        options = dict(cfg[key].dataset, data_root=str(data_root / name))
        options['kinds'] = label_kinds(build_tasks(cfg.tasks))
        assert options.pop('type') == 'MultiTaskFolder'
        dataset = MultiTaskFolder(**options)
        assert len(dataset) == size and dataset.missing_files() == {}
        sample = dataset[0]['data_samples']
        assert set(cfg.tasks) == set(sample.labels.keys())
