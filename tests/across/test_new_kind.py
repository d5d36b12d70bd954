"""A kind of one's own, in a file of one's own: a heat map, learnt by squared error."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bmtas.cli import infer, test, train
from bmtas.cli.base import run_tool

SHIPPED = Path(__file__).resolve().parents[2] / 'configs'
ROOT = Path(__file__).resolve().parents[2] / 'bmtas'
MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from bmtas.evaluation import TaskMetric
from bmtas.kinds import MapKind, ramp, to_array
from bmtas.models.losses import TaskLoss
from bmtas.registry import KINDS, METRICS, MODELS


@KINDS.register_module(name='heat', force=True)
@dataclass(frozen=True)
class Heat(MapKind):
    """How near the next person stands, 0 to 1 for every pixel; -1 has no label."""

    name: ClassVar[str] = 'heat'
    loss: ClassVar = dict(type='SquaredError')
    metric: ClassVar = dict(type='MeanSquare')
    fill: ClassVar[float] = -1.0

    channels = 1
    top: int = 255

    def decode(self, raw, path):
        return raw.astype(np.float32) / self.top

    def to_tensor(self, array):
        return torch.from_numpy(np.ascontiguousarray(array))

    def labelled(self, label):
        return label >= 0

    def blank(self, size):
        return torch.full(tuple(size), -1.0)

    def activate(self, logits):
        return logits[:, 0].float().clamp(0, 1)

    def error(self, prediction, label):
        valid = self.labelled(label)
        return float((prediction - label)[valid].square().mean())

    def label_sums(self, label):
        valid = self.labelled(label)
        return torch.stack([label[valid].double().sum(), valid.sum()])

    def constants(self, sums):
        return [(sums[0] / sums[1]).float()]

    def colours(self, values, draw, limits=None):
        values = to_array(values)
        out = ramp('hot', np.clip(values, 0, 1))
        out[values < 0] = 150
        return out

    def to_file(self, prediction):
        return np.rint(self.top * prediction.numpy()).astype(np.uint8)


@MODELS.register_module(force=True)
class SquaredError(TaskLoss):
    def forward(self, logits, target):
        valid = self.kind.labelled(target)
        error = (logits[:, 0].float() - target).square() * valid
        return error.sum() / valid.sum().clamp(min=1)


@METRICS.register_module(force=True)
class MeanSquare(TaskMetric):
    scores = dict(mse=False)

    def measure(self, prediction, target):
        valid = self.kind.labelled(target)
        error = (prediction - target)[valid].double().square().sum()
        return dict(error=error, pixels=valid.sum())

    def summarize(self, sums):
        return dict(mse=float(sums['error'] / sums['pixels']))
'''
CONFIG = """
_base_ = [
    '{shipped}/_base_/models/mobilenetv2_shared.py',
    '{shipped}/_base_/schedules/retrain_short.py',
    '{shipped}/_base_/default_runtime.py',
]
custom_imports = dict(imports=['own_heat'])
input_size = (64, 64)
tasks = dict(warmth=dict(kind='heat', top=200), semseg=dict(kind='classes', num_classes=3))
model = dict(
    encoder=dict(backbone=dict(
        weights=None, output_stride=4, stem=['features.0'],
        layers=['features.1', 'features.2', 'features.3'], aspp=dict(type='RASPP', channels=8))),
    head=dict(low_proj=8, width=8),
)
_data = dict(type='MultiTaskFolder', data_root='{root}',
             label_files=dict(warmth=dict(folder='warmth'), semseg=dict(folder='segmentation')))
_pack = [dict(type='PackSample')]
_loader = dict(batch_size=2, collate_fn=dict(type='pseudo_collate'))
_moves = [
    dict(type='RandomAffine', angle=20, scales=[0.8, 1.2]), dict(type='RandomScale', scales=[0.7]),
    dict(type='RandomCrop', size=64), dict(type='RandomHorizontalFlip'),
]
train_dataloader = dict(sampler=dict(type='PositionSampler'),
                        dataset=dict(split='train', pipeline=_moves + _pack, **_data), **_loader)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(split='train', pipeline=[dict(type='PadTo', size=72)] + _pack, **_data), **_loader)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=3)
val_cfg = None
"""


@pytest.fixture
def root(tmp_path):
    """Four images with a bright spot, whose heat map follows from its place."""
    root, ys, xs = tmp_path / 'data', *np.mgrid[:64, :64]
    for folder in ('images', 'warmth', 'segmentation', 'gt_sets'):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        heat = np.exp(-((ys - 20) ** 2 + (xs - 12 * number - 10) ** 2) / 200)
        picture = np.repeat((255 * heat).astype(np.uint8)[..., None], 3, 2)
        Image.fromarray(picture).save(root / 'images' / f'{number}.png')
        Image.fromarray(np.rint(200 * heat).astype(np.uint8)).save(root / f'warmth/{number}.png')
        Image.fromarray((heat * 2.9).astype(np.uint8)).save(root / f'segmentation/{number}.png')
    (root / 'gt_sets' / 'train.txt').write_text('0\n1\n2\n3\n')
    return root


def run(tool, *argv):
    assert run_tool(tool.main, [str(word) for word in argv]) == 0


def test_a_heat_map_is_trained_tested_inferred_and_drawn(root, tmp_path, monkeypatch):
    (tmp_path / 'own_heat.py').write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    path, work, out = tmp_path / 'heat.py', tmp_path / 'run', tmp_path / 'out'
    config = CONFIG.format(shipped=SHIPPED, root=root).replace("suffix='.jpg'", '')
    path.write_text(config.replace("data_root='", "img_suffix='.png', data_root='"))
    run(train, path, '--work-dir', work)
    run(test, path, work / 'iter_3.pth', '--work-dir', work, '--constant')
    results = json.loads((work / 'results.json').read_text())
    assert results['score_names']['warmth'] == 'mse'
    assert results['higher_is_better']['warmth'] is False
    heat = np.stack([np.asarray(Image.open(p)) for p in sorted((root / 'warmth').iterdir())]) / 200
    assert results['constant']['warmth'] == pytest.approx(heat.var(), rel=1e-4)
    assert (work / 'vis' / 'predictions.png').is_file()
    run(infer, path, work / 'iter_3.pth', root / 'images' / '2.png', '--out-dir', out)
    assert np.asarray(Image.open(out / 'warmth' / '2.png')).shape == (64, 64)
    assert np.asarray(Image.open(out / 'warmth_colour' / '2.png')).shape == (64, 64, 3)


def test_the_package_knows_nothing_of_it():
    """No room outside ``kinds`` compares a kind; the word of this one is nowhere."""
    for path in ROOT.rglob('*.py'):
        text = path.read_text()
        assert "'heat'" not in text, path
        if path.parent.name != 'kinds':
            for name in ('classes', 'mask', 'depth', 'normals', 'category'):
                assert f"kind == '{name}'" not in text, path
