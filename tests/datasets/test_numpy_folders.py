"""Data written as LibMTL's are read by the shipped configs, value for value."""

import numpy as np
import pytest

from bmtas.datasets import NumpyFolders
from bmtas.datasets.check import check_sample
from bmtas.engine.config import load_config
from bmtas.registry import DATASETS
from bmtas.typed import accepted_arguments

SIZE = (16, 24)


@pytest.fixture
def root(tmp_path):
    """Three training and two validation images, all labels of both data sets."""
    rng = np.random.default_rng(0)
    for split, numbers in (('train', (0, 2, 10)), ('val', (0, 1))):
        for number in numbers:
            vectors = rng.normal(size=(*SIZE, 3))
            arrays = dict(
                image=rng.random((*SIZE, 3)).astype(np.float32),
                label=rng.integers(-1, 13, SIZE).astype(np.float64),
                label_7=rng.integers(-1, 7, SIZE).astype(np.int64),
                depth=rng.random((*SIZE, 1)).astype(np.float32) + 0.1,
                normal=vectors / np.linalg.norm(vectors, axis=-1, keepdims=True),
            )
            for name, array in arrays.items():
                folder = tmp_path / split / name
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f'{number}.npy', array)
    return tmp_path


@pytest.mark.parametrize('name', ['nyuv2', 'cityscapes'])
def test_the_config_reads_the_layout(root, name):
    cfg = load_config(f'shared/resnet50_libmtl_{name}', data_root=root)
    train = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[dict(type='PackSample')]))
    assert train.ids == ['0', '2', '10'] and len(DATASETS.build(cfg.val_dataloader.dataset)) == 2
    found = train[2]
    image = np.load(root / 'train' / 'image' / '10.npy')
    np.testing.assert_allclose(found['inputs'].permute(1, 2, 0), 255 * image, atol=0.51)
    labels = found['data_samples'].labels
    assert set(labels) == set(cfg.tasks)
    folder = 'label' if name == 'nyuv2' else 'label_7'
    raw = np.load(root / 'train' / folder / '10.npy')
    np.testing.assert_array_equal(labels['segmentation'], np.where(raw < 0, 255, raw))
    depth = np.load(root / 'train' / 'depth' / '10.npy')[..., 0]
    np.testing.assert_allclose(labels['depth'], depth)
    if name == 'nyuv2':
        normal = np.load(root / 'train' / 'normal' / '10.npy')
        np.testing.assert_allclose(labels['normal'].permute(1, 2, 0), normal, atol=1e-5)


def test_bmtas_check_reads_the_images_as_training_does(root):
    assert check_sample(NumpyFolders(str(root), 'val'), 0).problems == []
    np.save(root / 'val' / 'image' / '0.npy', np.full((4, 4, 3), 7.0))
    [problem] = check_sample(NumpyFolders(str(root), 'val'), 0).problems
    assert 'an image holds bytes or floats' in problem


def test_options_that_would_do_nothing_are_unknown():
    assert not {'img_suffix', 'split_folder'} & set(accepted_arguments(NumpyFolders))


def test_mistakes_name_the_file(root):
    with pytest.raises(FileNotFoundError, match='photo: no arrays'):
        NumpyFolders(str(root), 'val', img_folder='photo')
    np.save(root / 'val' / 'image' / '1.npy', np.full((4, 4, 3), 7.0))
    with pytest.raises(ValueError, match=r'1.npy: an image holds bytes or floats from 0 to 1'):
        NumpyFolders(str(root), 'val').load(1)
