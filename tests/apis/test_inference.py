"""Inference on files: any size, file formats that read back, one-line errors."""

import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from bmtas.apis import infer_files, inference, load_model, predict
from bmtas.apis.sources import Video, VideoFile
from bmtas.cli.base import run_tool
from bmtas.datasets import read_image
from bmtas.datasets.label_file import LabelFile
from bmtas.kinds import Category, Depth, Mask
from bmtas.tasks import Task


def tool(name):
    return importlib.import_module(f'bmtas.cli.{name}').main


WAYS = ('colour', 'overlay')


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
    assert list(infer_files(network.model, [path], out)) == [path]
    assert len(list(out.rglob('*.png'))) == 8 and not (out / 'categories.csv').exists()
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
    assert '1 images, 4 tasks' in capsys.readouterr().out
    assert (tmp_path / 'out' / 'depth' / 'a.png').is_file()


def test_folders_patterns_overlays_and_sheets(network, tmp_path):
    (tmp_path / 'in' / 'sub').mkdir(parents=True)
    paths = [picture(tmp_path / 'in' / name) for name in ('a.png', 'sub/b.jpg')]
    (tmp_path / 'in' / 'notes.txt').touch()
    assert list(infer_files(network.model, [tmp_path / 'in'], tmp_path / 'out')) == paths
    assert (tmp_path / 'out' / 'depth' / 'sub' / 'b.png').is_file()
    pattern = str(tmp_path / 'in' / '*.png')
    arguments = [network.model, [pattern, paths[0]], tmp_path / 'two', True, True]
    assert list(infer_files(*arguments)) == paths[:1]  # named twice, predicted once
    photo, colours, shown = (
        np.asarray(Image.open(path), float)
        for path in (paths[0], *(tmp_path / 'two' / f'sal_{k}' / 'a.png' for k in WAYS))
    )
    np.testing.assert_allclose(shown, 0.55 * colours + 0.45 * photo, atol=0.51)
    sheet = np.asarray(Image.open(tmp_path / 'two' / 'side_by_side' / 'a.png'))
    assert sheet.shape == (50 + 22, 5 * 70 + 4 * 4, 3)
    np.testing.assert_array_equal(sheet[22:, :70], photo)


def test_videos(network, tmp_path, capsys):
    video = VideoFile(tmp_path / 'clip.mp4', 10)
    frames = [np.full((48, 64, 3), shade, np.uint8) for shade in (40, 120, 200)]
    for frame in frames:
        video.write(frame)
    video.close()
    arguments = [str(network.config), str(network.checkpoint), str(tmp_path / 'clip.mp4')]
    arguments += ['--side-by-side', '--out-dir', str(tmp_path / 'out')]
    assert run_tool(tool('infer'), arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('3 images') and 'images per second' in printed
    written = Video.of(tmp_path / 'out' / 'side_by_side' / 'clip.mp4')
    assert (written.fps, written.length) == (10, 3)
    shown = [frame[30:, 8:56].mean() for frame in written.frames()]
    read = [frame.mean() for frame in Video.of(tmp_path / 'clip.mp4').frames()]
    np.testing.assert_allclose(shown, read, atol=4)  # the codec loses a little
    assert np.diff(read).min() > 70
    assert (tmp_path / 'out' / 'depth_colour' / 'clip.mp4').is_file()
    assert not (tmp_path / 'out' / 'depth').exists()
    (tmp_path / 'text.mp4').write_text('not a video')
    with pytest.raises(ValueError, match=r'video .*text.mp4 cannot be read'):
        list(infer_files(network.model, [tmp_path / 'text.mp4'], tmp_path / 'out'))


def test_image_level_tasks_are_tables(tmp_path, monkeypatch):
    task = Task('place', Category(3), draw=dict(names=['in', 'out', 'sea']))
    model = SimpleNamespace(tasks=(task,))
    found = dict(place=torch.tensor([0.25, 0.5, 0.25]))
    monkeypatch.setattr(inference, 'predict', lambda model, image: found)
    paths = [picture(tmp_path / f'{name}.png') for name in 'ab']
    assert list(infer_files(model, paths, tmp_path / 'out', overlays=True)) == paths
    rows = (tmp_path / 'out' / 'categories.csv').read_text().split()
    assert rows == ['image,place,place_name,place_probability', 'a,1,out,0.5', 'b,1,out,0.5']
    entries = json.loads((tmp_path / 'out' / 'categories.json').read_text())
    assert entries[0] == dict(
        image='a',
        place=dict(label=1, name='out', probability=0.5, prediction=[0.25, 0.5, 0.25]),
    )
    assert np.asarray(Image.open(tmp_path / 'out' / 'place_overlay' / 'a.png')).shape == (72, 70, 3)


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
        (text, 'text.png: cannot be read'),
        (broken, 'broken.png: cannot be read'),
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
