"""Inference on files: any size, file formats that read back, one-line errors."""

import importlib

import numpy as np
import pytest
import torch
from PIL import Image

from bmtas.apis.inference import infer_files, load_model, predict, read_image
from bmtas.cli.base import run_tool
from bmtas.datasets.label_file import LabelFile
from bmtas.kinds import Depth, Mask


def tool(name):
    return importlib.import_module(f'bmtas.cli.{name}').main


def picture(path, size=(50, 70), mode='RGB'):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def test_the_loaded_network_is_the_saved_one(network):
    cfg, model = load_model(network.config, network.checkpoint, device='cpu')
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    found, expected = predict(model, image), predict(network.model, image)
    for name in network.names:
        assert (found[name] == expected[name]).all()
    assert tuple(cfg.input_size) == (64, 64)


@pytest.mark.parametrize('size', [(64, 64), (33, 97), (5, 40), (1, 1)])
def test_images_of_any_size(network, size):
    maps = predict(network.model, np.full((*size, 3), 100, np.uint8))
    for task in network.model.tasks:
        shape = (3, *size) if task.name == 'normals' else size
        assert maps[task.name].shape == shape
        assert torch.isfinite(maps[task.name].float()).all()


def test_files_read_back_as_labels(network, tmp_path):
    path = picture(tmp_path / 'a.b.png')
    out = tmp_path / 'out'
    (found, written), *rest = infer_files(network.model, [path], out)
    assert not rest and found == path and len(written) == 8
    maps = predict(network.model, read_image(path))
    files = dict(
        semseg=LabelFile('semseg', 'classes', num_classes=10),
        sal=LabelFile('sal', 'mask', threshold=127),
        depth=LabelFile('depth', 'depth', scale=0.001),
        normals=LabelFile('normals', 'normals'),
    )
    read = {name: file.read(out, 'a.b') for name, file in files.items()}
    np.testing.assert_array_equal(read['semseg'], maps['semseg'].numpy())
    np.testing.assert_array_equal(read['sal'], maps['sal'].numpy() > 127.5 / 255)
    depth = maps['depth'].numpy().clip(0, 65.535)
    np.testing.assert_allclose(read['depth'], depth, atol=0.00051)
    cosine = (read['normals'].transpose(2, 0, 1) * maps['normals'].numpy()).sum(0)
    assert cosine.min() > 0.9999
    for name in network.names:
        assert np.asarray(Image.open(out / f'{name}_colour' / 'a.b.png')).shape == (50, 70, 3)


def test_formats_of_numbers():
    depth = torch.tensor([[0.0, 1.2345, 100.0, -1.0]])
    assert Depth().to_file(depth).tolist() == [[0, 1234, 65534, 0]]
    assert Mask().to_file(torch.tensor([[0.0, 1.0]])).tolist() == [[0, 255]]


def test_greyscale_palette_alpha_and_turned_images(tmp_path):
    for mode in ('L', 'P', 'RGBA', '1'):
        assert read_image(picture(tmp_path / 'x.png', mode=mode)).shape == (50, 70, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(picture(tmp_path / 'x.png')).save(tmp_path / 'turned.jpg', exif=exif)
    assert read_image(tmp_path / 'turned.jpg').shape == (70, 50, 3)


def test_the_tool(network, tmp_path, capsys):
    image = picture(tmp_path / 'a.png')
    arguments = [str(network.config), str(network.checkpoint), str(image)]
    assert run_tool(tool('infer'), [*arguments, '--out-dir', str(tmp_path / 'out')]) == 0
    assert '1 images, maps of 4 tasks' in capsys.readouterr().out
    assert (tmp_path / 'out' / 'depth' / 'a.png').is_file()


def broken(tmp_path):
    path = tmp_path / 'broken.png'
    path.write_bytes(picture(tmp_path / 'whole.png').read_bytes()[:300])
    return [str(picture(tmp_path / 'good.png')), str(path)]


def text(tmp_path):
    path = tmp_path / 'text.png'
    path.write_text('not an image')
    return [str(path)]


def twins(tmp_path):
    (tmp_path / 'sub').mkdir()
    return [str(picture(tmp_path / 'a.png')), str(picture(tmp_path / 'sub' / 'a.png'))]


@pytest.mark.parametrize(
    'images, message',
    [
        (lambda path: [], 'no images'),
        (lambda path: [str(path / 'none.png')], 'none.png does not exist'),
        (text, 'text.png cannot be read'),
        (broken, 'broken.png cannot be read'),
        (twins, 'two images are named a'),
    ],
)
def test_mistakes_are_one_line(network, tmp_path, capsys, images, message):
    arguments = [str(network.config), str(network.checkpoint), *images(tmp_path)]
    assert run_tool(tool('infer'), [*arguments, '--out-dir', str(tmp_path / 'out')]) == 2
    printed = capsys.readouterr()
    error = printed.err
    assert message in error and error.count('\n') == 1 and error.startswith('error: ')
    assert not printed.out
    assert not (tmp_path / 'out').exists()


OTHER = dict(kind='classes', num_classes=10, label='semseg')


def test_a_checkpoint_of_another_network_is_refused(network, tmp_path):
    with pytest.raises(ValueError, match='other'):
        load_model(network.config, network.checkpoint, {'tasks.semseg': None, 'tasks.other': OTHER})
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        load_model(network.config, tmp_path / 'none.pth')
