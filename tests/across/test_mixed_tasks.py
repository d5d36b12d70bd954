"""Maps and classes of the whole image in one table: every encoder, every tool."""

import csv
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image

from bmtas.cli import compare, export, infer, report, search, test, train
from bmtas.cli.base import run_tool
from bmtas.kinds import Category
from bmtas.registry import MODELS
from bmtas.tasks import MultiTaskSample, TaskMaps

SHIPPED = Path(__file__).resolve().parents[2] / 'configs'
SIZE = (64, 64)
CONFIG = """
_base_ = [
    '{shipped}/_base_/models/mobilenetv2_{model}.py',
    '{shipped}/_base_/schedules/{schedule}.py',
    '{shipped}/_base_/default_runtime.py',
]
input_size = (64, 64)
# the labels of one task are called like a method of dicts, one task lacks half of its labels
tasks = dict(
    semseg=dict(kind='classes', num_classes=3),
    animal=dict(kind='category', num_classes=4, label='items', weight=0.5,
                head=dict(pool_size=2, dropout=0.1), draw=dict(names=['cat', 'dog', 'cow', 'hen'])),
    lit=dict(kind='category', num_classes=2, score='balanced_accuracy',
             loss=dict(type='CategoryLoss', class_weights=[1.0, 3.0], label_smoothing=0.1)),
)
model = dict(
    encoder=dict(backbone=dict(
        weights=None, output_stride=4, stem=['features.0'],
        layers=['features.1', 'features.2', 'features.3'], aspp=dict(type='RASPP', channels=8))),
    head=dict(low_proj=8, width=8),
)
_pack = [dict(type='PackSample')]
_files = dict(
    semseg=dict(folder='segmentation'),
    items=dict(folder='animals', suffix='.npy'),
    lit=dict(folder='lit', suffix='.npy', optional=True),
)
_data = dict(type='MultiTaskFolder', data_root='{root}', label_files=_files)
_loader = dict(batch_size=2, collate_fn=dict(type='pseudo_collate'))
_moves = [
    dict(type='RandomAffine', angle=20, scales=[0.8, 1.2]), dict(type='RandomScale', scales=[0.7]),
    dict(type='RandomCrop', size=64), dict(type='RandomHorizontalFlip'),
]
train_dataloader = dict(drop_last=True, sampler=dict(type='PositionSampler'),
                        dataset=dict(split='train', pipeline=_moves + _pack, **_data), **_loader)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(split='train', pipeline=[dict(type='PadTo', size=72)] + _pack, **_data), **_loader)
test_dataloader = val_dataloader
{extra}
"""
CODE = '16_8-1_1_1_16-1_2_1_1_8_24-1_3_1_2_1_16_24_32-1_4_1_1_1_1_24_16_8_16-40'
ENCODERS = {
    'branched': dict(type='BranchedEncoder', routes=[[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 1, 2]]),
    'supergraph': dict(type='SupergraphEncoder'),
    'single': dict(type='SingleTaskEncoder'),
    'mtan': dict(type='MTANEncoder', separable=True, activation='relu6'),
    'cross_stitch': dict(type='CrossStitchEncoder', init_from=None),
    'nddr': dict(type='NDDREncoder', init_from=None),
    'routed': dict(type='RoutedEncoder', keep_ratio=0.5),
    'delta': dict(type='DeltaEncoder', stage='support'),
    'network_code': dict(
        type='MultiResolutionEncoder', backbone=dict(type='MultiResolutionNetwork', code=CODE)
    ),
}
BACKBONE = dict(
    type='LayeredBackbone',
    arch='mobilenet_v2',
    output_stride=4,
    stem=['features.0'],
    layers=['features.1', 'features.2', 'features.3'],
    aspp=dict(type='RASPP', channels=8),
    low_level_index=2,
)
TASKS = dict(
    semseg=dict(kind='classes', num_classes=3),
    animal=dict(kind='category', num_classes=4, label='items'),
    lit=dict(kind='category', num_classes=2),
)


def sample(animal, lit, seed):
    generator = torch.Generator().manual_seed(seed)
    semseg = torch.randint(0, 3, SIZE, generator=generator)
    labels = dict(semseg=semseg, items=torch.tensor(animal))
    if lit is not None:
        labels['lit'] = torch.tensor(lit)
    return MultiTaskSample(labels=TaskMaps(labels), metainfo=dict(img_id=f'{seed}'))


@pytest.mark.parametrize('encoder', ENCODERS)
def test_every_encoder_learns_both(encoder):
    init_default_scope('bmtas')
    for plug_in in ('ncp', 'sharing', 'task_routing'):
        importlib.import_module(f'bmtas.{plug_in}')

    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=TASKS,
            encoder=dict(backbone=BACKBONE) | ENCODERS[encoder],
            head=dict(type='DeepLabV3PlusHead', low_proj=8, width=8),
        )
    )
    images = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    data = model.data_preprocessor(
        dict(inputs=list(images), data_samples=[sample(3, None, 0), sample(1, 1, 1)]), True
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    history = []
    for _ in range(6):
        losses = model(**data, mode='loss')
        history.append(losses['loss_animal'].item())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert history[-1] < history[0]
    model.eval()
    logits = model(data['inputs'])
    assert logits['animal'].shape == (2, 4) and logits['semseg'].shape == (2, 3, *SIZE)
    found = model(**data, mode='predict')[0].predictions
    assert found['animal'].shape == (4,) and found['animal'].sum().item() == pytest.approx(1)
    # one labelled image of two: the mean is over that one
    loss = model.losses['lit'](logits['lit'], torch.tensor([-1, 1]))
    assert loss.item() == pytest.approx(-logits['lit'][1].log_softmax(0)[1].item())


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Six images whose classes lie in small arrays."""
    root, rng = tmp_path_factory.mktemp('data'), np.random.default_rng(0)
    for folder in ('images', 'segmentation', 'animals', 'lit', 'gt_sets'):
        (root / folder).mkdir()
    for number in range(6):
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(image).save(root / 'images' / f'{number}.jpg')
        ids = rng.integers(0, 3, SIZE, dtype=np.uint8)
        Image.fromarray(ids).save(root / 'segmentation' / f'{number}.png')
        np.save(root / 'animals' / f'{number}.npy', number % 4 if number else -1)
        if number % 2:
            np.save(root / 'lit' / f'{number}.npy', np.array(number % 3 == 0))
    (root / 'gt_sets' / 'train.txt').write_text('\n'.join(map(str, range(6))))
    return root


@pytest.fixture
def config(root, tmp_path):
    def write(name, model, schedule, extra):
        path = tmp_path / f'{name}.py'
        options = dict(shipped=SHIPPED, root=root, model=model, schedule=schedule, extra=extra)
        path.write_text(CONFIG.format(**options))
        return path

    return write


def run(tool, *argv):
    assert run_tool(tool.main, [str(word) for word in argv]) == 0


def test_search_train_test_infer_export_compare_report(config, root, tmp_path, capsys):
    schedule = 'search = dict(warmup_updates=1, weight_updates=2, alpha_phase=1, weight_phase=1)'
    found, work = tmp_path / 'search', tmp_path / 'run'
    searched = config('search', 'supergraph', 'search_short', schedule + '\nval_cfg = None')
    run(search, searched, '--work-dir', found)
    path = config('train', 'branched', 'retrain_short', 'train_cfg = dict(max_iters=2)')
    run(train, path, '--branching', found / 'branching.json', '--work-dir', work)
    run(test, path, work / 'iter_2.pth', '--work-dir', work, '--constant')
    results = json.loads((work / 'results.json').read_text())
    assert results['score_names'] == dict(semseg='mIoU', animal='accuracy', lit='balanced_accuracy')
    assert set(results['metrics']['animal']) == {
        'accuracy', 'balanced_accuracy', 'precision', 'recall', 'F1'
    }  # fmt: skip
    assert results['constant']['animal'] == pytest.approx(40.0)  # two of the five are dogs
    assert (work / 'vis' / 'predictions.png').is_file()

    out = tmp_path / 'out'
    images = sorted((root / 'images').iterdir())[:3]
    run(infer, path, work / 'iter_2.pth', *images, '--out-dir', out)
    with open(out / 'categories.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['image'] for row in rows] == ['0', '1', '2']
    for row in rows:
        names = ['cat', 'dog', 'cow', 'hen']
        assert names[int(row['animal'])] == row['animal_name']
        assert 0.25 <= float(row['animal_probability']) <= 1
        assert Category(2).decode(np.array(int(row['lit'])), out) in (0, 1)
    assert (out / 'semseg' / '0.png').is_file() and not (out / 'animal').exists()

    net = tmp_path / 'net.pt2'
    run(export, path, work / 'iter_2.pth', '--format', 'torch-export', '--out', net)
    outputs = torch.export.load(net).module()(torch.zeros(1, 3, *SIZE))
    assert [tuple(o.shape) for o in outputs] == [(1, *SIZE), (1, 4), (1, 2)]
    capsys.readouterr()
    run(compare, work, '--csv', tmp_path / 'table.csv')
    assert 'animal accuracy' in capsys.readouterr().out
    run(report, work, '--out', tmp_path / 'report.html')
    assert 'animal' in (tmp_path / 'report.html').read_text()
