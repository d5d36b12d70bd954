"""The program interface: the documented example, own data in all forms, kept folders."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from mmengine.hooks import Hook
from torch.utils.data import DataLoader, Dataset, IterableDataset

from bmtas import apis
from bmtas.apis.setup import OwnDataset, Setup
from bmtas.registry import HOOKS

DOCS = Path(__file__).resolve().parents[2] / 'docs'


def test_the_documented_program_runs(tmp_path, monkeypatch, capsys):
    """All Python blocks of docs/api.md, one after the other; the first has 30 lines at most."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r'```python\n(.*?)```', (DOCS / 'api.md').read_text(), re.S)
    lines = [line for line in blocks[0].split('\n') if line.strip()]
    assert len(lines) <= 30
    space = {'__name__': 'documented'}
    for block in blocks:
        exec(compile(block.replace('updates=20', 'updates=2'), 'docs/api.md', 'exec'), space)
    assert (tmp_path / 'work_dirs' / 'stripes' / 'search' / 'branching.json').is_file()
    assert set(space['maps']) == {'bright', 'distance'}
    before = space['maps']['distance']
    again = apis.predict(space['model'], 255 * space['image'])['distance']
    torch.testing.assert_close(again, before)
    assert 'True' in capsys.readouterr().out


class Own(Dataset):
    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.item(index)


def sample(item, tasks=None):
    tasks = tasks or dict(a=dict(kind='classes', num_classes=3))
    setup = Setup('mobilenet_v2', tasks, Own(item))
    setup._loader(setup.train, 'train')
    kinds = {name: dict(type=e['kind'], **{k: v for k, v in e.items() if k != 'kind'})
             for name, e in tasks.items()}  # fmt: skip
    return OwnDataset('own/train', list(tasks), kinds)[4]


def test_forms_of_items():
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    label = np.arange(20).reshape(4, 5) % 3
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    forms = [
        (image, dict(a=label)),
        (tensor, dict(a=torch.from_numpy(label))),
        dict(image=tensor / 255, a=label[None].astype(np.uint8), unused=1),
    ]
    for form in forms:
        found = sample(lambda index, form=form: form)
        torch.testing.assert_close(found['inputs'].float(), tensor.float())
        assert (found['data_samples'].labels['a'].numpy() == label).all()
    tasks = dict(n=dict(kind='normals'), c=dict(kind='category', num_classes=4))
    vectors = torch.nn.functional.normalize(torch.rand(3, 4, 5), dim=0)
    labels = sample(lambda index: (image, dict(n=vectors, c=3)), tasks)['data_samples'].labels
    torch.testing.assert_close(labels['n'], vectors)
    assert labels['c'] == 3
    assert 'a' not in sample(lambda index: (image, dict(a=None)))['data_samples'].labels


def test_random_data_is_a_function_of_the_position():
    def noisy(index):
        return torch.rand(3, 4, 5), dict(a=torch.randint(0, 3, (4, 5)))

    first, second = sample(noisy), sample(noisy)
    torch.testing.assert_close(first['inputs'], second['inputs'])
    assert (first['data_samples'].labels['a'] == second['data_samples'].labels['a']).all()


@pytest.mark.parametrize(
    'item, message',
    [
        (lambda i: 3, r'item 0 .* must be \(image, dict of labels\)'),
        (lambda i: (torch.zeros(1, 4, 4), {}), r'three channels, this is \(4, 4, 1\)'),
        (lambda i: (torch.randn(3, 9, 9), {}), 'between 0 and 1'),
        (lambda i: (torch.zeros(3, 4, 4), dict(a=torch.zeros(4))), r"label 'a': .* not \(4,\)"),
    ],
)
def test_mistakes_name_the_item(item, message):
    with pytest.raises(ValueError, match=message):
        sample(item)


def test_streams_are_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(ValueError, match='wrap a stream in a data set'):
        Setup('mobilenet_v2', {}, DataLoader(Stream()))._loader(Stream(), 'train')


@HOOKS.register_module()
class StopAfterTwo(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        runner.train_loop.stop_training = batch_idx == 1


def test_resumed_equals_uninterrupted(tmp_path):
    """A training stopped after two of four updates, and one that was not."""

    def item(index):
        return torch.rand(3, 32, 32), dict(a=torch.randint(0, 3, (32, 32)))

    def run(name, updates, resume=False):
        setup = Setup(
            torchvision.models.resnet18(),
            dict(a=dict(kind='classes', num_classes=3)),
            DataLoader(Own(item), batch_size=2),
            stem=['conv1', 'bn1', 'relu', 'maxpool'],
            layers=['layer1', 'layer2'],
            work_dir=tmp_path / name,
            options={
                'model.encoder.backbone.output_stride': 8,
                'default_hooks.checkpoint.interval': 2,
                'train_cfg.max_iters': 4,
            },
        )
        return apis.train(setup, 'shared', resume=resume, options=updates)[1]

    torch.manual_seed(0)
    whole = run('whole', {})
    stop = {'custom_hooks': [dict(type='StopAfterTwo')]}
    torch.manual_seed(0)
    run('halves', stop)
    resumed = run('halves', stop, resume=True)
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


def test_saved_folder_stands_alone(network, tmp_path):
    cfg, model = apis.load_model(network.config, network.checkpoint, device='cpu')
    folder = apis.save(tmp_path / 'kept', cfg, model)
    assert {p.name for p in folder.iterdir()} == {'config.json', 'weights.pth', 'branching.json'}
    image = torch.randint(0, 256, (3, 40, 64), dtype=torch.uint8)
    expected = apis.predict(model, image)
    moved = tmp_path / 'elsewhere'
    folder.rename(moved)
    program = (
        'import sys, torch; from bmtas import apis\n'
        f'cfg, model = apis.load({str(moved)!r}, device="cpu")\n'
        f'image = torch.load({str(tmp_path / "image.pt")!r})\n'
        f'torch.save(apis.predict(model, image), {str(tmp_path / "maps.pt")!r})'
    )
    torch.save(image, tmp_path / 'image.pt')
    subprocess.run([sys.executable, '-c', program], check=True, cwd=tmp_path)
    for name, value in torch.load(tmp_path / 'maps.pt').items():
        assert torch.equal(value, expected[name])


def test_import_changes_nothing_of_mmengine():
    program = (
        'from mmengine.runner.checkpoint import CheckpointLoader as L\n'
        'from mmengine.fileio.handlers.registry_utils import file_handlers\n'
        'before = dict(L._schemes), dict(file_handlers)\n'
        'import bmtas.apis\n'
        'for name in bmtas.apis.__all__:\n'
        '    getattr(bmtas.apis, name)\n'
        'assert before == (L._schemes, file_handlers)'
    )
    subprocess.run([sys.executable, '-c', program], check=True)
