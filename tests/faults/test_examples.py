"""What was reported about wrong numbers, lost work and unclear lines, tried through ``bmtas``.

Each case is one example: a number is compared with one that is computed here from the files; a
mistake ends with exit code 2 (1 for what ``bmtas check`` finds) and one line that names the file or
key and says what to do. The table in docs/reliability.md says where the others are tried.
"""

import json
import os
import shutil
import signal
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import SEARCH, TRAIN, write_config

from bmtas.cli import main
from bmtas.datasets.files import read_array

pytestmark = pytest.mark.slow

SHIPPED = Path(__file__).resolve().parents[2] / 'configs'
SIZE = (40, 48)
CONFIG = """
_base_ = [
    '{shipped}/_base_/models/mobilenetv2_shared.py',
    '{shipped}/_base_/schedules/retrain_short.py',
    '{shipped}/_base_/default_runtime.py',
]
input_size = (40, 48)
tasks = dict(
    semseg=dict(kind='classes', num_classes=300),
    depth=dict(kind='depth'),
    normals=dict(kind='normals'),
)
model = dict(
    encoder=dict(backbone=dict(
        weights=None, output_stride=4, stem=['features.0'],
        layers=['features.1', 'features.2', 'features.3'], aspp=dict(type='RASPP', channels=8))),
    head=dict(low_proj=8, width=8),
)
_files = dict(
    semseg=dict(folder='semseg', suffix='.npy', ignore=-1),
    depth=dict(folder='depth', scale=0.001),
    normals=dict(folder='normals'),
)
_data = dict(type='MultiTaskFolder', data_root='{root}', label_files=_files,
             img_suffix='.png', pipeline=[dict(type='PackSample')])
_loader = dict(batch_size=2, num_workers=0, collate_fn=dict(type='pseudo_collate'))
train_dataloader = dict(sampler=dict(type='PositionSampler'),
                        dataset=dict(split='train', **_data), **_loader)
test_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
                       dataset=dict(split='train', **_data), **_loader)
val_dataloader = test_dataloader
val_cfg = None
train_cfg = dict(max_iters=2)
"""


def write_folder(root):
    """Four photos with classes of 300 (-1: no label), depth in mm and normals of 8 bits."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'semseg', 'depth', 'normals', 'gt_sets'):
        (root / folder).mkdir(parents=True)
    for name in 'abcd':
        photo = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(photo).save(root / 'images' / f'{name}.png')
        np.save(root / 'semseg' / f'{name}.npy', rng.integers(-1, 300, SIZE).astype(np.int16))
        depth = rng.integers(500, 5000, SIZE).astype(np.uint16)
        Image.fromarray(depth).save(root / 'depth' / f'{name}.png')
        normals = rng.normal(size=(*SIZE, 3))
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        normals = np.rint(127.5 * normals + 127.5).astype(np.uint8)
        Image.fromarray(normals).save(root / 'normals' / f'{name}.png')
    (root / 'gt_sets' / 'train.txt').write_text('a\nb\nc\nd\n')
    return root


@pytest.fixture
def bmtas(capfd):
    """Run a command line in this process: ``bmtas('train', path, ...)`` -> code, output, errors."""

    def call(*words):
        capfd.readouterr()
        code = main([str(word) for word in words])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def refused(bmtas):
    """A command line that ends with exit code 2 and one line that holds all texts."""

    def call(*words, says):
        code, _, errors = bmtas(*words)
        lines = [line for line in errors.splitlines() if line.startswith('error: ')]
        assert code == 2, errors
        assert len(lines) == 1 and 'Traceback' not in errors, errors
        for text in says:
            assert text in lines[0], lines[0]

    return call


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Config and checkpoint of a network of the folder, and what it predicts for its photos."""
    place = tmp_path_factory.mktemp('own')
    root = write_folder(place / 'data')
    config = place / 'own.py'
    config.write_text(CONFIG.format(shipped=SHIPPED, root=root))
    assert main(['train', str(config), '--work-dir', str(place / 'run')]) == 0
    checkpoint = place / 'run' / 'iter_2.pth'
    out = ['--out-dir', str(place / 'predicted')]
    assert main(['infer', str(config), str(checkpoint), str(root / 'images'), *out]) == 0
    return config, checkpoint, place / 'predicted'


@pytest.fixture
def own(trained, tmp_path):
    """A copy of the folder that a test may change."""
    return Path(shutil.copytree(trained[0].parent / 'data', tmp_path / 'data'))


@pytest.fixture
def metrics(bmtas, trained, tmp_path):
    """``bmtas test`` of the network on a folder: the metrics in results.json."""

    def call(root, *options):
        config, checkpoint, _ = trained
        out = tmp_path / 'results.json'
        words = [config, checkpoint, '--data-root', root, '--out', out, '--sheet', '0']
        words += ['--work-dir', tmp_path / 'test', '--cfg-options', 'default_scope=bmtas', *options]
        code, _, errors = bmtas('test', *words)
        assert code == 0, errors
        return json.loads(out.read_text())['metrics']

    return call


def mean_iou(predicted, labels, count):
    """Mean over the classes that occur of intersection over union, in percent; -1 has no label."""
    shares = []
    for number in range(count):
        there, here = labels == number, (predicted == number) & (labels >= 0)
        if (there | here).any():
            shares.append((there & here).sum() / (there | here).sum())
    return 100 * np.mean(shares)


class TestNumbers:
    def test_negative_ignore_values_and_ids_above_254(self, metrics, own, trained):
        predicted = np.stack([read_array(trained[2] / 'semseg' / f'{n}.png') for n in 'abcd'])
        # a good prediction for the ids around 255, which a byte would take for each other
        for name, ids in zip('abcd', predicted.astype(np.int16)):
            label = np.where(np.arange(SIZE[1]) < 30, ids, np.roll(ids, 1, 1))
            label[:5] = -1
            label[5:9] = 255
            np.save(own / 'semseg' / f'{name}.npy', label)
        labels = np.stack([np.load(own / 'semseg' / f'{n}.npy') for n in 'abcd'])
        expected = mean_iou(predicted, labels, 300)
        assert 0 < expected < 100
        assert metrics(own)['semseg']['mIoU'] == pytest.approx(expected, abs=1e-4)

    def test_photos_are_turned_alike_by_every_tool(self, metrics, own):
        upright = metrics(own)
        for path in (own / 'images').iterdir():
            tag = Image.Exif()
            tag[0x0112] = 6  # shown after a quarter turn to the right
            turned = Image.open(path).transpose(Image.Transpose.ROTATE_90)
            turned.save(path, exif=tag)
        assert metrics(own) == upright

    def test_sixteen_bits_are_the_same_picture(self, metrics, own):
        for path in (own / 'images').iterdir():
            Image.fromarray(np.asarray(Image.open(path).convert('L'))).save(path)
        eight = metrics(own)
        for path in (own / 'images').iterdir():
            Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 257).save(path)
        assert metrics(own) == eight

    def test_marks_for_no_measurement(self, metrics, own, trained):
        """Where the marks are does not count, whatever they would decode to."""
        squares, lost = 0, 0
        for name in 'abcd':
            path = own / 'depth' / f'{name}.png'
            depth = np.array(Image.open(path))
            depth[:20] = 65535
            Image.fromarray(depth).save(path)
            path = own / 'normals' / f'{name}.png'
            normals = np.array(Image.open(path))
            normals[:, :24] = 127 + (np.arange(24) % 2)[:, None]
            Image.fromarray(normals).save(path)
            predicted = read_array(trained[2] / 'depth' / f'{name}.png')[20:] / 1000
            squares += ((predicted - depth[20:] / 1000) ** 2).sum()
            lost += predicted.size
        found = metrics(own)
        assert found['depth']['rmse'] == pytest.approx((squares / lost) ** 0.5, abs=2e-3)
        before = metrics(trained[0].parent / 'data')
        assert found['normals'] != before['normals']
        for path in (own / 'normals').iterdir():  # the left half is gone, the right half is scored
            normals = np.array(Image.open(path))
            normals[:, :24] = 0
            Image.fromarray(normals).save(path)
        assert metrics(own)['normals'] == found['normals']

    def test_edge_maps_of_other_modes(self, bmtas, tmp_path):
        lines = np.zeros((20, 30), np.uint8)
        lines[4, 3:23] = 1
        for folder in ('truth', 'binary', 'palette'):
            (tmp_path / folder).mkdir()
        Image.fromarray(255 * lines).save(tmp_path / 'truth' / 'a.png')
        Image.fromarray(lines).save(tmp_path / 'binary' / 'a.png')
        image = Image.fromarray(lines, 'P')
        image.putpalette([0, 0, 0, 255, 255, 255])
        image.save(tmp_path / 'palette' / 'a.png')
        for folder in ('binary', 'palette'):
            code, out, _ = bmtas('boundaries', tmp_path / folder, tmp_path / 'truth')
            assert code == 0 and 'ODS  1.0000' in out
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.save(tmp_path / 'palette' / 'a.png')
        code, _, errors = bmtas('boundaries', tmp_path / 'palette', tmp_path / 'truth')
        assert code == 2 and 'palette/a.png' in errors and 'grey' in errors


def damage(own, what):
    """Spoil one file of a data folder; returns its name and a word of the remedy."""
    if what == 'float photo':
        Image.fromarray(np.ones(SIZE, np.float32)).save(own / 'images' / 'b.png', format='TIFF')
        return 'b.png', 'save'
    if what == 'one value':
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(own / 'images' / 'b.png')
        return 'b.png', 'value'
    if what == 'turned label':
        depth = Image.open(own / 'depth' / 'b.png').transpose(Image.Transpose.ROTATE_90)
        depth.save(own / 'depth' / 'b.png')
        return 'b.png', 'turn'
    if what == 'far class':
        np.save(own / 'semseg' / 'b.npy', np.full(SIZE, 300))
        return 'b.npy', 'outside 0..299'
    if what == 'hostile array':
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}   \n"
        content = b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header
        (own / 'semseg' / 'b.npy').write_bytes(content)
        return 'b.npy', ''
    if what == 'huge photo':
        parts = [(b'IHDR', struct.pack('>IIBBBBB', 20000, 20000, 8, 0, 0, 0, 0)), (b'IEND', b'')]
        parts.insert(1, (b'IDAT', zlib.compress(bytes(1000))))
        chunks = [
            struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
            for kind, data in parts
        ]
        (own / 'images' / 'b.png').write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(chunks))
        return 'b.png', 'too large'
    if what == 'id outside':
        (own / 'gt_sets' / 'train.txt').write_text('a\n../secret\n')
        return 'train.txt', 'leads out of the data folder'
    if what == 'encoding':
        (own / 'gt_sets' / 'train.txt').write_text('a\nBäume\n', encoding='latin-1')
        return 'train.txt', 'save it as UTF-8'
    (own / 'depth' / 'b.png').unlink()
    return 'b.png', 'optional=True'


SPOILT = ['float photo', 'one value', 'turned label', 'far class', 'hostile array', 'huge photo']
SPOILT += ['id outside', 'encoding', 'partial labels']


@pytest.mark.parametrize('what', SPOILT)
def test_spoilt_data(bmtas, refused, trained, own, tmp_path, what):
    file, remedy = damage(own, what)
    words = [trained[0], '--data-root', own]
    code, out, errors = bmtas('check', *words, '--workers', '0')
    assert code == 1, out + errors
    lines = [line for line in out.splitlines() if file in line and remedy in line]
    assert lines and 'Traceback' not in errors, out
    if what != 'one value':
        refused('train', *words, '--work-dir', tmp_path / 'run', says=[file, remedy])


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / 'c.py', 'shared', 'retrain_short', TRAIN)


@pytest.mark.parametrize(
    ('option', 'says'),
    [
        ('tasks=dict(a=1)', ['tasks', 'one by one']),
        ('input_size=[180]', ['input_size', 'must have 2 entries']),
        ('train_cfg.val_interval=0', ['train_cfg.val_interval', 'must be at least 1']),
        ('tasks.semseg.weight=high', ['tasks.semseg.weight', 'must be a number']),
        ('tasks.semseg.score=mIuo', ["'mIuo'", "'mIoU'"]),
        ('load_from=none.pth', ['load_from', 'none.pth']),
        ('work_dir=' + 'a' * 300, ['too long']),
    ],
)
def test_wrong_options(refused, config, tmp_path, monkeypatch, option, says):
    monkeypatch.chdir(tmp_path)
    refused('train', config, '--cfg-options', option, says=says)


def test_wrong_files(refused, bmtas, config, tmp_path):
    search = write_config(tmp_path / 's.py', 'supergraph', 'search_short', SEARCH)
    work = ['--work-dir', tmp_path / 'run']
    refused('train', search, *work, says=['s.py', 'bmtas search'])
    (tmp_path / 'deep.json').write_text('[' * 100_000)
    branched = write_config(tmp_path / 'b.py', 'branched', 'retrain_short', TRAIN)
    refused('train', branched, *work, '--branching', tmp_path / 'deep.json', says=['deep.json'])
    (tmp_path / 'run.yaml').write_text(f'a: !!python/object/apply:os.mkdir [{tmp_path}/made]\n')
    refused('train', tmp_path / 'run.yaml', *work, says=['run.yaml'])
    assert not (tmp_path / 'made').exists()
    (tmp_path / 'file').write_text('')
    refused('train', config, '--work-dir', tmp_path / 'file', says=[str(tmp_path / 'file')])
    (tmp_path / 'empty').mkdir()
    images = [tmp_path / 'empty', '--out-dir', tmp_path / 'out']
    refused('infer', config, tmp_path / 'none.pth', *images, says=['empty'])


def test_no_workers_against_persistent_workers(bmtas, config, tmp_path):
    shipped = SHIPPED / 'shared' / 'mobilenetv2_shapescenes.py'
    assert 'persistent_workers=True' in (SHIPPED / '_base_/datasets/shapescenes.py').read_text()
    options = ['train_dataloader.num_workers=0', 'train_cfg.max_iters=1', 'val_cfg=None']
    options += ['model.encoder.backbone.weights=None', 'train_dataloader.batch_size=2']
    options += ['train_dataloader.dataset.antialias=1']
    words = ['--work-dir', tmp_path / 'run', '--cfg-options', *options]
    code, _, errors = bmtas('train', shipped, *words)
    assert code == 0, errors


class TestRuns:
    def test_load_from(self, bmtas, refused, config, trained, tmp_path):
        torch.save(dict(state_dict={'other.w': torch.zeros(3)}), tmp_path / 'other.pth')
        words = ['train', config, '--work-dir', tmp_path / 'run', '--cfg-options']
        says = ['c.py: load_from: ', 'other.pth', 'does not fit']
        refused(*words, f'load_from={tmp_path}/other.pth', says=says)
        code, out, errors = bmtas(*words, f'load_from={trained[1]}')
        assert code == 0
        assert 'of 168 tensors loaded' in out + errors and 'another shape' in out + errors

    def test_one_folder_one_run(self, bmtas, refused, config, tmp_path):
        words = ['train', config, '--work-dir', tmp_path / 'run']
        assert bmtas(*words)[0] == 0
        refused(*words, says=['--resume', '--overwrite'])
        for option in ('train_dataloader.batch_size=1', 'optim_wrapper.optimizer.lr=0.3'):
            key = option.partition('=')[0]
            refused(*words, '--resume', '--cfg-options', option, says=[key])
        length = 'train_dataloader.dataset.length=13'
        refused(*words, '--resume', '--cfg-options', length, says=['train_dataloader'])
        assert bmtas(*words, '--overwrite')[0] == 0

    def test_longer_runs_and_copied_folders(self, bmtas, config, tmp_path):
        best = ['default_hooks.checkpoint.save_best=semseg/mIoU', 'val_cfg.type=ValLoop']
        best += ['default_hooks.checkpoint.rule=greater', 'default_hooks.logger.interval=1']

        def train(name, updates, *more):
            options = ['--cfg-options', *best, f'train_cfg.max_iters={updates}']
            assert bmtas('train', config, '--work-dir', tmp_path / name, *more, *options)[0] == 0

        def rates(name):
            files = sorted((tmp_path / name).glob('*/vis_data/scalars.json'))
            rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
            return {row['step']: row['lr'] for row in rows if 'lr' in row}

        train('whole', 12)
        train('first', 8)
        shutil.copytree(tmp_path / 'first', tmp_path / 'copy')
        kept = sorted(path.name for path in (tmp_path / 'first').glob('*.pth'))
        train('copy', 12, '--resume')
        assert sorted(path.name for path in (tmp_path / 'first').glob('*.pth')) == kept
        whole, copy = rates('whole'), rates('copy')
        assert [copy[step] for step in (9, 10, 11, 12)] == [whole[s] for s in (9, 10, 11, 12)]
        assert copy[9] > 0

    def test_a_search_that_diverges(self, refused, tmp_path):
        config = write_config(tmp_path / 's.py', 'supergraph', 'search_short', SEARCH)
        words = ['search', config, '--work-dir', tmp_path / 'run', '--cfg-options']
        rate = 'optim_wrapper.weights.optimizer.lr=1e30'
        refused(*words, rate, says=['update ', 'loss_', 'lower the learning rate'])
        assert not list((tmp_path / 'run').glob('branching.json'))

    def test_costs_that_cannot_be(self, bmtas, tmp_path):
        config = write_config(tmp_path / 's.py', 'supergraph', 'search_short', SEARCH)
        words = ['search', config, '--work-dir', tmp_path / 'run']
        assert bmtas(*words)[0] == 0
        table = json.loads((tmp_path / 'run' / 'resources.json').read_text())
        first = json.loads((tmp_path / 'run' / 'branching.json').read_text())
        assert first['cost'] > 0
        (tmp_path / 'run' / 'resources.json').write_text(json.dumps({**table, 'stem': -1e12}))
        assert bmtas(*words, '--overwrite')[0] == 0
        assert json.loads((tmp_path / 'run' / 'branching.json').read_text()) == first
        assert json.loads((tmp_path / 'run' / 'resources.json').read_text()) == table

    def test_a_flipped_bit(self, refused, trained, tmp_path):
        content = bytearray(trained[1].read_bytes())
        content[len(content) // 2] ^= 8
        (tmp_path / 'flipped.pth').write_bytes(content)
        words = [trained[0], tmp_path / 'flipped.pth', '--work-dir', tmp_path / 'test']
        refused('test', *words, says=['flipped.pth', 'damaged'])

    @pytest.mark.parametrize(('signum', 'code'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal(self, bmtas, config, tmp_path, signum, code):
        run = tmp_path / 'run'

        def send():
            while not list(run.glob('iter_*.pth')):
                time.sleep(0.05)
            os.kill(os.getpid(), signum)

        threading.Thread(target=send, daemon=True).start()
        long = ['train_cfg.max_iters=5000', 'train_cfg.val_interval=5000']
        found, out, errors = bmtas('train', config, '--work-dir', run, '--cfg-options', *long)
        assert found == code and '--resume' in out + errors
        assert (run / 'last_checkpoint').is_file()


def test_commands_that_take_a_network(refused, trained, tmp_path):
    config, checkpoint, _ = trained
    torch.save(dict(state_dict={}, encoder=3), tmp_path / 'odd.pth')
    out = ['--out', tmp_path / 'out']
    for words in (
        ['extract', config, tmp_path / 'odd.pth', '--tasks', 'depth', *out],
        ['export', config, tmp_path / 'odd.pth', '--format', 'onnx', *out],
        ['test', config, tmp_path / 'odd.pth', '--work-dir', tmp_path / 'test'],
    ):
        refused(*words, says=['odd.pth: encoder: must be a dict'])
    calibrate = ['calibrate', config, checkpoint, '--elements', '0.5', *out]
    refused(*calibrate, says=['own.py: model.encoder.type', 'needs a DeltaEncoder'])
    extract = ['extract', config, checkpoint, '--tasks', 'depth', *out]
    refused(*extract, says=['own.py: model.encoder.type', 'needs a RoutedEncoder'])
    refused('share', config, '--work-dir', tmp_path / 's', says=['own.py: sharing: missing'])
    export = ['export', config, checkpoint, '--format', 'onnx', *out]
    refused(*export, '--task', 'depht', says=["'depht'", "'depth'"])


def test_commands_that_take_results(refused, config, tmp_path):
    results = dict(tasks=['a'], scores={'a': 'x'}, score_names={'a': 'm'}, params=1)
    results['higher_is_better'] = {'a': True}
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'results.json').write_text(json.dumps(results))
    file = str(tmp_path / 'run' / 'results.json')
    refused('compare', tmp_path / 'run', says=[file, "'a' is x, not a number"])
    report = ['report', tmp_path / 'run', '--out', tmp_path / 'r.html']
    refused(*report, says=[file, 'scores.a: must be a number or None'])
    sweep = ['sweep', config, '--grid', 'seed=0', '--work-dir', tmp_path / 's', '--dry-run']
    refused(*sweep, '--baseline', file, says=[file])
