"""NYUD-v2 from files written in the three layouts that circulate."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from bmtas.datasets import NYUD
from bmtas.datasets.nyud import detect_layout

HEIGHT, WIDTH = 8, 10


def raw_arrays():
    rng = np.random.default_rng(0)
    semseg = rng.integers(0, 41, (HEIGHT, WIDTH)).astype(np.uint8)
    semseg[0, :2] = (0, 40)
    normals = rng.normal(size=(HEIGHT, WIDTH, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    depth = rng.uniform(0.7, 9.9, (HEIGHT, WIDTH)).astype(np.float32)
    edge = rng.integers(0, 2, (HEIGHT, WIDTH)).astype(np.uint8)
    img = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return img, semseg, normals, depth, edge


def write(root, layout, img_id='0001'):
    img, semseg, normals, depth, edge = raw_arrays()
    bytes_ = np.rint((normals + 1) * 127.5).astype(np.uint8)
    for name in ('images', 'segmentation', 'edge', 'normals', 'depth', 'gt_sets'):
        (root / name).mkdir(parents=True, exist_ok=True)
    suffix = '.png' if layout == 'png' else '.jpg'
    Image.fromarray(img).save(root / 'images' / f'{img_id}{suffix}')
    if layout == 'mat':
        scipy.io.savemat(root / 'segmentation' / f'{img_id}.mat', dict(segmentation=semseg))
        scipy.io.savemat(root / 'depth' / f'{img_id}.mat', dict(depth=depth))
        flat = np.full((HEIGHT, WIDTH, 3), (217, 128, 38), np.uint8)
        Image.fromarray(flat).save(root / 'normals' / f'{img_id}.jpg', quality=95)
    else:
        Image.fromarray(semseg).save(root / 'segmentation' / f'{img_id}.png')
        np.save(root / 'depth' / f'{img_id}.npy', depth)
    if layout == 'png':
        Image.fromarray(bytes_).save(root / 'normals' / f'{img_id}.png')
    if layout == 'npy':
        np.save(root / 'normals' / f'{img_id}.npy', normals.astype(np.float32))
        np.save(root / 'edge' / f'{img_id}.npy', edge.astype(np.float32)[..., None])
    else:
        Image.fromarray(edge * 255).save(root / 'edge' / f'{img_id}.png')
    (root / 'gt_sets' / 'val.txt').write_text(f'{img_id}\n')
    return root


@pytest.mark.parametrize('layout', ['png', 'npy', 'mat'])
def test_three_layouts_give_the_same_labels(tmp_path, layout):
    write(tmp_path, layout)
    assert detect_layout(tmp_path) == layout
    dataset = NYUD(str(tmp_path), 'val')
    assert dataset.layout == layout and dataset.missing_files() == {}
    labels = dataset.load(0)['labels']
    _, semseg, normals, depth, edge = raw_arrays()
    expected = semseg.astype(int) - 1
    expected[semseg == 0] = 255
    np.testing.assert_array_equal(labels['semseg'], expected)
    assert labels['semseg'][0, 0] == 255 and labels['semseg'][0, 1] == 39
    np.testing.assert_allclose(labels['depth'], depth, rtol=1e-6)
    np.testing.assert_array_equal(labels['edge'], edge)
    if layout == 'mat':
        flat = np.array([217, 128, 38]) / 127.5 - 1
        np.testing.assert_allclose(labels['normals'][2, 3], flat / np.linalg.norm(flat), atol=0.03)
    else:
        np.testing.assert_allclose(labels['normals'], normals, atol=0.008)
    assert labels['normals'].shape == (HEIGHT, WIDTH, 3)


def test_layout_can_be_named_and_single_labels_changed(tmp_path):
    write(tmp_path, 'npy')
    scipy.io.savemat(tmp_path / 'depth' / '0001.mat', dict(d=np.full((HEIGHT, WIDTH), 2.0)))
    files = dict(depth=dict(suffix='.mat', key='d'))
    dataset = NYUD(str(tmp_path), 'val', layout='npy', label_files=files)
    assert (dataset.load(0)['labels']['depth'] == 2).all()
    assert dataset.load(0)['labels']['edge'].max() == 1


def raises(error, match, call):
    with pytest.raises(error, match=match) as caught:
        call()
    assert '\n' not in str(caught.value)


def test_layout_errors(tmp_path):
    raises(ValueError, "unknown layout 'zip'", lambda: NYUD(str(tmp_path), 'val', layout='zip'))
    raises(FileNotFoundError, 'cannot tell the layout', lambda: NYUD(str(tmp_path), 'val'))
    raises(
        FileNotFoundError, 'data folder of .* not found', lambda: NYUD(str(tmp_path / 'x'), 'val')
    )
    write(tmp_path, 'npy')
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / 'normals' / '0002.png')
    raises(FileNotFoundError, 'several types', lambda: NYUD(str(tmp_path), 'val'))


def test_class_outside_the_forty(tmp_path):
    write(tmp_path, 'png')
    Image.fromarray(np.full((HEIGHT, WIDTH), 41, np.uint8)).save(
        tmp_path / 'segmentation' / '0001.png'
    )
    raises(
        ValueError,
        'value 41 decodes to class 40, outside 0..39',
        lambda: NYUD(str(tmp_path), 'val').load(0),
    )
