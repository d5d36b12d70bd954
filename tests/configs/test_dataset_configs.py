"""The pipelines of configs/_base_/datasets on files that the loading benchmark writes."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from bmtas.registry import DATASETS, TRANSFORMS
from bmtas.tasks import build_tasks, label_kinds

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def roots(tmp_path_factory, load_script):
    """A PASCAL-Context tree, NYUD-v2 in two layouts; val lists are the train lists."""
    module, root = load_script('dataloading'), tmp_path_factory.mktemp('published')
    module.write_pascal(root / 'pascal', 2)
    module.write_folder(root / 'nyud', 2, 425, 560, nyud=True)
    module.write_folder(root / 'mti', 2, 480, 640, nyud=True)
    for name in ('0000', '0001'):
        for folder in ('normals', 'edge'):
            path = root / 'mti' / folder / f'{name}.png'
            array = np.asarray(Image.open(path)).astype(np.float32)
            np.save(path.with_suffix('.npy'), array / 127.5 - 1 if folder == 'normals' else array)
            path.unlink()
        path = root / 'mti' / 'images' / f'{name}.png'
        Image.open(path).save(path.with_suffix('.jpg'))
    for folder in ('pascal/ImageSets/Context', 'nyud/gt_sets', 'mti/gt_sets'):
        (root / folder / 'val.txt').write_text((root / folder / 'train.txt').read_text())
    return root


@pytest.mark.parametrize(
    ('name', 'data', 'train', 'test'),
    [
        ('pascal', 'pascal', (512, 512), (512, 512)),
        ('pascal_search', 'pascal', (256, 256), (512, 512)),
        ('pascal_atrc', 'pascal', (512, 512), (512, 512)),
        ('pascal_mti', 'pascal', (512, 512), (512, 512)),
        ('nyud', 'nyud', (425, 560), (425, 560)),
        ('nyud_search', 'nyud', (280, 376), (425, 560)),
        ('nyud_atrc', 'nyud', (425, 560), (425, 560)),
        ('nyud_mti', 'mti', (480, 640), (480, 640)),
    ],
)
def test_recipe(roots, name, data, train, test):
    init_default_scope('bmtas')
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    tasks = build_tasks(cfg.tasks)
    assert tuple(cfg.input_size) == test
    for loader, size in (('train', train), ('val', test), ('test', test)):
        options = dict(cfg[f'{loader}_dataloader'].dataset, data_root=str(roots / data))
        sample = DATASETS.build(options)[3]
        assert sample['inputs'].shape == (3, *size)
        labels = sample['data_samples'].labels
        # of the MTI recipe the labels stay as they are in the files
        size = sample['data_samples'].get('predict_at') or size
        for task in tasks:
            label = labels[task.label]
            assert label.shape[-2:] == size, task.name
            assert (label.ndim == 3) == (task.name == 'normals')
            if not label.is_floating_point():
                top = max(task.channels, 2)
                assert ((label == 255) | (label < top)).all()
        lengths = labels['normals'].norm(dim=0)
        assert ((lengths == 0) | ((lengths - 1).abs() < 1e-3)).all()
        assert (labels['edge'] == 1).any()


FLIP, PACK = dict(type='RandomHorizontalFlip'), dict(type='PackSample')
MEAN = [123.675, 116.28, 103.53]
COLOURS = dict(
    type='PhotoMetricDistortion',
    brightness=32,
    contrast=(0.5, 1.5),
    saturation=(0.5, 1.5),
    hue=18,
)


def recipe(name, size):
    """(training, test) of the recipes of ATRC and of ASTMT and MTI-Net, key by key."""
    ignore = [dict(type='IgnoreAbsentForeground', labels=['human_parts'])] * ('pascal' in name)
    tail = [*ignore, PACK]
    if name.endswith('atrc'):
        pad = dict(type='PadTo', size=size, img_fill=MEAN)
        scale = dict(type='RandomScale', scale_range=[0.5, 2.0])
        crop = dict(type='RandomCrop', size=size, cat_max_ratio=0.75, pad=False)
        return [scale, crop, FLIP, COLOURS, pad, *tail], [pad, *tail]
    zoom = dict(scales=[1.0, 1.2, 1.5])
    if 'pascal' in name:
        zoom = dict(angle=20, scale_range=[0.75, 1.25])
    resize = dict(type='Resize', size=size, interpolation='cubic')
    train = [FLIP, dict(type='RandomAffine', **zoom, img_fill=0), resize, *tail]
    return train, [dict(resize, labels=False), *tail]


@pytest.mark.parametrize(
    ('name', 'size'),
    [
        ('pascal_atrc', 512),
        ('nyud_atrc', (425, 560)),
        ('pascal_mti', 512),
        ('nyud_mti', (480, 640)),
    ],
)
def test_recipes_of_others(name, size):
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    train, test = recipe(name, size)
    for loader, steps in (('train', train), ('val', test), ('test', test)):
        pipeline = cfg[f'{loader}_dataloader'].dataset.pipeline
        assert [step.type for step in pipeline] == [step['type'] for step in steps]
        for step, expected in zip(pipeline, steps):
            # what a step leaves out is the default of its class
            defaults = inspect.signature(TRANSFORMS.get(step.type)).parameters
            for key, value in expected.items():
                found = step.get(key, defaults[key].default if key in defaults else None)
                assert np.array_equal(found, value), (step.type, key)
            assert set(step) <= set(expected), step


def test_padding_is_zero_after_normalisation():
    from bmtas.registry import MODELS

    preprocessor = MODELS.build(dict(type='MultiTaskPreprocessor', normalize='imagenet'))
    pixels = torch.tensor(MEAN)[:, None, None].expand(3, 2, 2)
    out = preprocessor(dict(inputs=[pixels], data_samples=None))['inputs']
    assert out.abs().max() < 1e-6
    unit = MODELS.build(dict(type='MultiTaskPreprocessor', normalize='unit'))
    pixels = torch.tensor([0.0, 127.5, 255.0])[:, None, None].expand(3, 2, 2)
    out = unit(dict(inputs=[pixels], data_samples=None))['inputs']
    assert out[0, :, 0, 0].tolist() == [-1, 0, 1]


def test_paper_recipe():
    """Appendix A: factors 0.5 to 2 in steps of 0.25, crop, flip; half and two-third resolution."""
    factors = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    for name, resize, crop in (
        ('pascal', None, 512),
        ('pascal_search', 1 / 2, 256),
        ('nyud', None, (425, 560)),
        ('nyud_search', 2 / 3, (280, 376)),
    ):
        cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
        steps = list(cfg.train_dataloader.dataset.pipeline)
        if resize:
            first = steps.pop(0)
            assert (first.type, first.factor) == ('Resize', resize)
        assert steps[0] == dict(type='RandomScale', scales=factors)
        assert steps[1].type == 'RandomCrop' and steps[1].size == crop
        assert steps[2] == dict(type='RandomHorizontalFlip')
    for name, batch, weight in (('pascal', 16, 0.95), ('nyud', 8, 0.8)):
        cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
        assert cfg.train_dataloader.batch_size == batch
        assert cfg.tasks.edge.loss.pos_weight == weight
        weights = {task.name: task.weight for task in build_tasks(cfg.tasks)}
        published = dict(semseg=1, human_parts=2, sal=5, normals=10, edge=50, depth=1)
        assert weights == {key: published[key] for key in weights}


@pytest.mark.data
def test_normals_of_real_images_follow_from_their_depth(data_root):
    """x right, y down, z forward: surfaces that the camera sees have negative z."""
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / 'tabletop.py')
    options = dict(cfg.train_dataloader.dataset, data_root=str(data_root / 'tabletop'), pipeline=[])
    options['kinds'] = label_kinds(build_tasks(cfg.tasks))
    labels = DATASETS.build(dict(options, labels=['depth', 'normals'])).load(0)['labels']
    depth, normals = labels['depth'], labels['normals']
    height, width = depth.shape
    ys, xs = np.mgrid[:height, :width]
    depth = np.where(depth > 0, depth, np.nan)
    focal = 525 / 2  # of the Kinect at half resolution
    points = np.stack(
        [(xs - (width - 1) / 2) * depth / focal, (ys - (height - 1) / 2) * depth / focal, depth], -1
    )
    across, down = np.full_like(points, np.nan), np.full_like(points, np.nan)
    across[:, 3:-3] = points[:, 6:] - points[:, :-6]
    down[3:-3] = points[6:] - points[:-6]
    derived = np.cross(down, across)  # towards the camera: -z
    derived /= np.linalg.norm(derived, axis=-1, keepdims=True)
    valid = (normals != 0).any(-1) & np.isfinite(derived).all(-1)
    angles = np.degrees(np.arccos(np.clip((normals * derived).sum(-1)[valid], -1, 1)))
    assert valid.mean() > 0.3 and np.median(angles) < 6
    assert (normals[valid][:, 2] < 0).mean() > 0.99
