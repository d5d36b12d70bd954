#!/usr/bin/env python
"""Images per second and worker of every data set, and the share of each step.

    python benchmarks/dataloading.py [NAME ...] [--images 24] [--workers N]

Writes data sets of realistic contents in their own formats (PASCAL-Context at 500x375 with five
labels, NYUD-v2 at 560x425 with four, a folder at 320x240 with five) to a temporary folder and
reads them through the pipelines of ``configs/_base_/datasets``. Times are CPU seconds of one
process with one thread, so they hold per worker and other programs on the machine hardly matter;
``--workers N`` adds the wall-clock rate of a loader with N processes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image
from torch.utils.data import DataLoader

from bmtas.datasets.files import read_image
from bmtas.datasets.folder import MultiTaskFolder
from bmtas.registry import DATASETS
from bmtas.tasks import build_tasks, label_kinds

ROOT = Path(__file__).resolve().parents[1]
NAMES = (
    *('pascal', 'pascal_search', 'pascal_atrc', 'pascal_mti', 'nyud', 'nyud_search', 'nyud_atrc'),
    *('folder', 'shapescenes'),
)
CONFIGS = dict(folder='tabletop')


def regions(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """Map (height, width) of ``count`` regions with crooked borders, as of a segmentation."""
    coarse = rng.uniform(0, 12, (2, height // 16, width // 16)).astype(np.float32)
    shift = np.stack(
        [cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse]
    )
    ys, xs = np.mgrid[:height, :width] + shift
    centres = rng.uniform(0, 1, (count, 2)) * (height, width)
    distances = [(ys - y) ** 2 + (xs - x) ** 2 for y, x in centres]
    return np.argmin(distances, axis=0)


def smooth(rng: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """Smooth random fields (height, width, channels) in [-1, 1]."""
    coarse = rng.uniform(-1, 1, (height // 40, width // 40, channels)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


class Scene:
    """Arrays of one made-up photograph and its labels."""

    def __init__(self, rng: np.random.Generator, height: int, width: int, classes: int) -> None:
        ids = regions(rng, height, width, 14)
        self.regions = ids
        self.labels = rng.integers(1, classes + 1, 14)[ids]
        colours = rng.uniform(40, 215, (14, 3))[ids]
        texture = 40 * smooth(rng, height, width, 3) + rng.normal(0, 8, (height, width, 3))
        self.img = np.clip(colours + texture, 0, 255).astype(np.uint8)
        normals = 0.15 * smooth(rng, height, width, 3) + rng.normal(size=(14, 3))[ids]
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        self.normals = np.rint((normals + 1) * 127.5).astype(np.uint8)
        self.depth = (2 + smooth(rng, height, width, 1) + rng.uniform(0, 3, 14)[ids]).astype(
            np.float32
        )
        right, down = (
            np.diff(ids, axis=1, append=ids[:, -1:]),
            np.diff(ids, axis=0, append=ids[-1:]),
        )
        self.edge = (((right != 0) | (down != 0)) * 255).astype(np.uint8)
        self.foreground = ((ids < 3) * 255).astype(np.uint8)


def save(array: np.ndarray, path: Path, **options) -> None:
    """Write an image file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def struct(fields: list[str], rows: list[tuple]) -> np.ndarray:
    """A 1 x n MATLAB structure array."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in fields])
    for column, row in enumerate(rows):
        for name, value in zip(fields, row):
            array[0, column][name] = value
    return array


def person_parts(scene: Scene) -> np.ndarray:
    """The part annotation of an image with two persons of eight parts each and a chair."""
    names = ['head', 'torso', 'luarm', 'llarm', 'ruarm', 'rlarm', 'luleg', 'llleg']
    objects = []
    for person in range(2):
        mask = (scene.regions == person).astype(np.uint8)
        rows = np.arange(mask.shape[0])[:, None] // (mask.shape[0] // 8 + 1)
        parts = struct(
            ['part_name', 'mask'], [(n, mask * (rows == i)) for i, n in enumerate(names)]
        )
        objects.append(('person', 15, mask, parts))
    objects.append(('chair', 9, (scene.regions == 3).astype(np.uint8), np.zeros((0, 0))))
    inner = struct(['class', 'class_ind', 'mask', 'parts'], objects)
    return struct(['imname', 'objects'], [('made up', inner)])


def write_pascal(root: Path, count: int) -> None:
    """A PASCAL-Context tree; every second image shows persons."""
    rng = np.random.default_rng(0)
    ids = [f'2008_{i:06d}' for i in range(count)]
    for i, name in enumerate(ids):
        scene = Scene(rng, 375, 500, 459)
        save(scene.img, root / 'JPEGImages' / f'{name}.jpg', quality=90)
        semseg = (scene.labels % 21).astype(np.uint8)
        save(semseg, root / 'semseg' / ('pascal-context', 'VOC12')[i % 4 == 0] / f'{name}.png')
        save(scene.normals, root / 'normals_distill' / f'{name}.png')
        save(scene.foreground, root / 'sal_distill' / f'{name}.png')
        for folder, content in (
            ('pascal-context/trainval', dict(LabelMap=scene.labels.astype(np.uint16))),
            ('human_parts', dict(anno=person_parts(scene))),
        ):
            if folder == 'human_parts' and i % 2:
                content['anno'][0, 0]['objects'] = content['anno'][0, 0]['objects'][:, 2:]
            (root / folder).mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(root / folder / f'{name}.mat', content, do_compression=True)
    split = root / 'ImageSets' / 'Context' / 'train.txt'
    split.parent.mkdir(parents=True)
    split.write_text('\n'.join(ids))


def write_folder(root: Path, count: int, height: int, width: int, nyud: bool) -> None:
    """NYUD-v2 in the layout of PNG files, or a folder as of tabletop.py."""
    rng = np.random.default_rng(0)
    ids = [f'{i:04d}' for i in range(count)]
    for name in ids:
        scene = Scene(rng, height, width, 40)
        save(scene.img, root / 'images' / f'{name}{".png" if nyud else ".jpg"}')
        semseg = scene.labels if nyud else scene.labels % 2
        save(semseg.astype(np.uint8), root / 'segmentation' / f'{name}.png')
        save(scene.normals, root / 'normals' / f'{name}.png')
        save(scene.edge, root / 'edge' / f'{name}.png')
        save(scene.foreground // 255, root / 'saliency' / f'{name}.png')
        (root / 'depth').mkdir(exist_ok=True)
        if nyud:
            np.save(root / 'depth' / f'{name}.npy', scene.depth)
        else:
            save((scene.depth * 1000).astype(np.uint16), root / 'depth' / f'{name}.png')
    (root / 'gt_sets').mkdir()
    (root / 'gt_sets' / 'train.txt').write_text('\n'.join(ids))


def make(name: str, folder: Path, count: int):
    """Write a data set if it needs files, and build its training split with its pipeline."""
    cfg = Config.fromfile(
        ROOT / 'configs' / '_base_' / 'datasets' / f'{CONFIGS.get(name, name)}.py'
    )
    dataset = cfg.train_dataloader.dataset
    dataset.kinds = label_kinds(build_tasks(cfg.tasks))
    dataset.labels = list(dataset.kinds)
    if 'data_root' in dataset:
        root = folder / name.split('_')[0]
        if not root.exists():
            if name.startswith('pascal'):
                write_pascal(root, count)
            else:
                published = name.startswith('nyud')
                size = (425, 560) if published else (240, 320)
                write_folder(root, count, *size, nyud=published)
        dataset.data_root = str(root)
    return DATASETS.build(dataset)


def profile(dataset, images: int) -> dict[str, float]:
    """CPU seconds per image of each step: reading, each transform."""
    spent: dict[str, float] = defaultdict(float)

    def timed(step, call):
        start = time.process_time()
        result = call()
        spent[step] += (time.process_time() - start) / images
        return result

    for position in range(images):
        index = position % len(dataset)
        rng = np.random.default_rng(position)
        if isinstance(dataset, MultiTaskFolder):
            img_id = dataset.ids[index]
            results = dict(kinds=dataset.kinds, labels={}, img_id=img_id, img_path=None)
            results['img'] = timed('read image', lambda i=img_id: read_image(dataset.img_path(i)))
            for name, reader in dataset.readers.items():
                results['labels'][name] = timed(
                    f'read {name}', lambda r=reader, i=img_id: r.read(dataset.data_root, i)
                )
        else:
            results = timed('render', lambda i=index: dataset.load(i)) | dict(kinds=dataset.kinds)
        results['ori_shape'] = results['img'].shape[:2]
        for transform in dataset.pipeline:
            results = timed(type(transform).__name__, lambda t=transform, r=results, g=rng: t(r, g))
    return dict(spent)


def loader_rate(dataset, workers: int, images: int) -> float:
    """Wall-clock images per second of a loader with ``workers`` processes."""
    loader = DataLoader(
        dataset, 4, sampler=range(images), num_workers=workers, collate_fn=pseudo_collate
    )
    iterator = iter(loader)
    next(iterator)
    start = time.perf_counter()
    count = sum(len(batch['inputs']) for batch in iterator)
    return count / (time.perf_counter() - start)


def report(name: str, spent: dict[str, float]) -> None:
    """Print one table."""
    from rich.console import Console
    from rich.table import Table

    total = sum(spent.values())
    table = Table(title=f'{name}: {1 / total:.1f} images/s per worker', title_justify='left')
    table.add_column('step')
    table.add_column('ms', justify='right')
    table.add_column('share', justify='right')
    for step, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        table.add_row(step, f'{1e3 * seconds:.2f}', f'{100 * seconds / total:.0f} %')
    Console().print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'names',
        nargs='*',
        default=['pascal', 'nyud', 'folder', 'shapescenes'],
        help=f'pipelines to time, of {", ".join(NAMES)}; default: %(default)s',
    )
    parser.add_argument('--images', type=int, default=24, help='images to write and to time')
    parser.add_argument('--workers', type=int, default=0, help='also time a loader, wall clock')
    args = parser.parse_args()
    unknown = set(args.names) - set(NAMES)
    if unknown:
        parser.error(f'unknown data set {sorted(unknown)[0]!r}, choose from {", ".join(NAMES)}')
    cv2.setNumThreads(0)
    init_default_scope('bmtas')
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names:
            dataset = make(name, Path(folder), args.images)
            profile(dataset, 2)  # imports, file cache
            report(name, profile(dataset, args.images))
            if args.workers:
                rate = loader_rate(dataset, args.workers, 4 * args.images)
                print(f'{args.workers} workers: {rate:.1f} images/s')


if __name__ == '__main__':
    main()
