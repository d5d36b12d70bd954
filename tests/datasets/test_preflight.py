"""Missing and incomplete data end a run with one line before anything is built."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bmtas.datasets.preflight import check_datasets

ROOT = Path(__file__).resolve().parents[2]
FILES = dict(semseg=dict(folder='segmentation', kind='classes', num_classes=2))


@pytest.fixture
def root(tmp_path):
    for name in ('images', 'segmentation', 'gt_sets'):
        (tmp_path / name).mkdir()
    for name in ('a', 'b', 'c'):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / 'images' / f'{name}.jpg')
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / 'segmentation' / f'{name}.png')
    for split in ('train', 'val'):
        (tmp_path / 'gt_sets' / f'{split}.txt').write_text('a\nb\nc\n')
    return tmp_path


def config(root, **kwargs):
    def loader(split):
        dataset = dict(
            type='MultiTaskFolder',
            data_root=str(root),
            split=split,
            label_files=FILES,
            pipeline=[dict(type='NoSuchTransform')],
        )
        return dict(dataset=dict(dataset, **kwargs))

    return dict(train_dataloader=loader('train'), val_dataloader=loader('val'))


def fails(cfg, *parts, error=FileNotFoundError, **kwargs):
    with pytest.raises(error) as caught:
        check_datasets(cfg, **kwargs)
    message = str(caught.value)
    assert '\n' not in message
    for part in parts:
        assert part in message, message


def test_complete_data_passes_without_touching_the_pipeline(root):
    images = check_datasets(config(root))
    assert images == {
        f'{loader}.dataset': ['a', 'b', 'c'] for loader in ('train_dataloader', 'val_dataloader')
    }
    assert check_datasets({}) == {}
    check_datasets(dict(train_dataloader=dict(dataset=dict(type='ShapeScenes'))))


def test_missing_root(root):
    fails(config(root / 'gone'), f'{root}/gone: data folder', 'not found', '--data-root')


def test_missing_folder_says_what_was_expected_and_found(root):
    for path in (root / 'segmentation').iterdir():
        path.unlink()
    fails(config(root), 'segmentation: 3 files expected', "split 'train'", '0 of them found')
    (root / 'segmentation').rmdir()
    fails(config(root), 'the folder is missing', 'no a.png')


def test_incomplete_folders(root):
    (root / 'segmentation' / 'b.png').unlink()
    (root / 'images' / 'c.jpg').unlink()
    fails(config(root), '2 of them found', '1 more folders are incomplete')


def test_only_the_loaders_of_the_run_count(root):
    (root / 'gt_sets' / 'val.txt').unlink()
    check_datasets(config(root), dataloaders=['train_dataloader'])
    fails(config(root), 'val.txt: split file not found (there are train)')


def test_wrapped_data_sets_are_found(root):
    inner = config(root / 'gone')['train_dataloader']['dataset']
    repeat = dict(type='RepeatDataset', times=2, dataset=inner)
    concat = dict(type='ConcatDataset', datasets=[repeat])
    whole = dict(type='ConcatDataset', datasets=[dict(repeat, dataset=dict(inner, data_root=root))])
    path = 'train_dataloader.dataset.datasets.0.dataset'
    assert check_datasets(dict(train_dataloader=dict(dataset=whole))) == {path: ['a', 'b', 'c']}
    fails(dict(train_dataloader=dict(dataset=concat)), 'gone: data folder')


@pytest.mark.parametrize('name', ['pascal', 'nyud', 'nyud_mti'])
def test_published_sets_name_the_command(name, tmp_path):
    from mmengine.config import Config

    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    target = tmp_path / 'none'
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[loader].dataset.data_root = str(target)
    command = f'bmtas prepare {name} --data-root {target}`'
    fails(cfg, 'none: data folder', command)
    target.mkdir()
    # an empty folder; for nyud the layout cannot be told
    fails(cfg, str(target), 'not found', command)
    (target / 'ImageSets' / 'Context').mkdir(parents=True)
    (target / 'normals').mkdir(parents=True)
    (target / 'normals' / '1.png').touch()
    fails(cfg, 'split file not found', command)


@pytest.mark.parametrize(
    'command',
    [
        ['train', 'configs/shared/mobilenetv2_pascal.py'],
        ['train', 'configs/branched/mobilenetv2_pascal.py', '--branching', '{tree}'],
        ['search', 'configs/bmtas/mobilenetv2_nyud.py'],
        ['test', 'configs/shared/mobilenetv2_nyud.py', '{checkpoint}'],
    ],
    ids=lambda command: ' '.join(command[:2]),
)
def test_tools_end_before_a_model_is_built(command, tmp_path, monkeypatch, capsys):
    from bmtas.branching import BranchingTree
    from bmtas.cli.base import run_tool
    from bmtas.registry import MODELS

    def build(*args, **kwargs):
        raise AssertionError('a model is built')

    monkeypatch.setattr(MODELS, 'build', build)
    tasks = ['semseg', 'human_parts', 'sal', 'normals', 'edge']
    BranchingTree.from_routes([[0] * 5] * 18, tasks).to_file(tmp_path / 'tree.json')
    (tmp_path / 'checkpoint.pth').touch()
    name, config, *rest = command
    module = importlib.import_module(f'bmtas.cli.{name}')
    files = dict(tree=tmp_path / 'tree.json', checkpoint=tmp_path / 'checkpoint.pth')
    rest = [part.format(**files) for part in rest]
    work = tmp_path / 'work'
    options = ['--data-root', str(tmp_path / 'none'), '--work-dir', str(work)]
    assert run_tool(module.main, [str(ROOT / config), *rest, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'{tmp_path}/none: data folder' in line and 'bmtas prepare' in line
    assert not work.exists()


def test_empty_split(root):
    (root / 'gt_sets' / 'train.txt').write_text('')
    fails(config(root), 'the split is empty', error=ValueError)


def test_another_suffix_is_named(root):
    (root / 'images' / 'a.jpg').rename(root / 'images' / 'a.png')
    fails(config(root), "there is a.png, img_suffix='.png' reads it")
    (root / 'images' / 'a.png').rename(root / 'images' / 'a.jpg')
    (root / 'segmentation' / 'b.png').rename(root / 'segmentation' / 'b.npy')
    fails(config(root), "there is b.npy, suffix='.npy' reads it")
