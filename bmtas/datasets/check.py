"""Read every file of a data set and report all that is wrong at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from bmtas.kinds import Kind

from .base import MultiTaskDataset
from .folder import MultiTaskFolder, size_problem


@dataclass
class SampleReport:
    """What one image and its labels look like.

    Args:
        img_id: Id of the image.
        size: (H, W), None where the image cannot be read.
        problems: One line each.
        labels: Label key -> (lowest, highest labelled value, share of labelled pixels).
    """

    img_id: str
    size: tuple[int, int] | None = None
    problems: list[str] = field(default_factory=list)
    labels: dict[str, tuple[float, float, float]] = field(default_factory=dict)


def _problem(path: Path, error: Exception) -> str:
    """One line; an error that the readers do not foresee must not end the check either."""
    if isinstance(error, (FileNotFoundError, ValueError)):
        return str(error)
    return f'{path}: cannot be read ({type(error).__name__}: {error})'


def check_sample(dataset: MultiTaskDataset, index: int) -> SampleReport:
    """Read an image and each of its labels; problems are collected, not raised."""
    if isinstance(dataset, MultiTaskFolder):
        return _check_files(dataset, index)
    place = Path(f'{dataset.where}: image {index}')
    report = SampleReport(str(index))
    try:
        sample = dataset.load(index)
        path = Path(sample.get('img_path') or place)
        report.img_id, report.size = sample['img_id'], sample['img'].shape[:2]
        report.problems += _constant(path, sample['img'])
        for name in dataset.kinds.keys() & sample['labels'].keys():
            _add_label(report, name, dataset.kinds[name], sample['labels'][name], path, path)
    except Exception as error:
        report.problems.append(_problem(place, error))
    return report


def _check_files(dataset: MultiTaskFolder, index: int) -> SampleReport:
    """The same where each label has files of its own, which are read one by one."""
    img_id = dataset.ids[index]
    report = SampleReport(img_id)
    path = dataset.img_path(img_id)
    report.size = _check_image(dataset, path, report)
    for frame in dataset.frame_paths(img_id):
        size = _check_image(dataset, frame, report)
        if None not in (size, report.size) and size != report.size:
            report.problems.append(
                f'{frame}: is {size[0]}x{size[1]}, the labelled frame {path} '
                f'{report.size[0]}x{report.size[1]}; all frames of a clip must be of one size'
            )
    for name, reader in dataset.readers.items():
        try:
            array = reader.read(dataset.data_root, img_id)
        except Exception as error:
            report.problems.append(_problem(reader.paths(dataset.data_root, img_id)[0], error))
            continue
        if array is None:
            continue
        where = reader.paths(dataset.data_root, img_id)[0]
        _add_label(report, name, reader.kind, array, where, path)
    report.problems = list(dict.fromkeys(report.problems))  # two labels may share a file
    return report


def _check_image(
    dataset: MultiTaskFolder, path: Path, report: SampleReport
) -> tuple[int, int] | None:
    """Size (H, W) of an image as the data set reads it, None where it cannot."""
    try:
        image = dataset.read_pixels(path)
    except Exception as error:
        report.problems.append(_problem(path, error))
        return None
    report.problems += _constant(path, image)
    return image.shape[:2]


def _constant(path: Path, image: np.ndarray) -> list[str]:
    """The problem with an image of one value."""
    if image.min() < image.max():
        return []
    return [f'{path}: every pixel is {image.min()}, nothing can be seen']


def _add_label(
    report: SampleReport, name: str, kind: Kind, array: np.ndarray, where: Path, path: Path
) -> None:
    """Add a label, found in the file ``where``, of the image at ``path``."""
    if kind.dense and report.size is not None and array.shape[:2] != report.size:
        report.problems.append(size_problem(where, name, array.shape, path, report.size))
    low, high, _ = report.labels[name] = kind.summary(array)
    if text := kind.suspicion(low, high, split=False):
        report.problems.append(f'{where}: {text}')


def iterate_reports(dataset: MultiTaskDataset, workers: int = 0) -> Iterator[SampleReport]:
    """Reports of all samples in order, read by ``workers`` processes (0: this one)."""
    read = partial(check_sample, dataset)
    yield from DataLoader(range(len(dataset)), None, num_workers=workers, collate_fn=read)


def check_size(dataset: MultiTaskDataset) -> list[str]:
    """Problems with the number of ids of a published split."""
    expected = dataset.expected_sizes.get(dataset.split)
    if expected is None or expected == len(dataset):
        return []
    return [
        f'{dataset.where}: {len(dataset)} images, the {dataset.split} split of '
        f'{type(dataset).__name__} has {expected}'
    ]


def check_whole(dataset: MultiTaskDataset, summary: DataSummary) -> list[str]:
    """Problems that show only over a whole split: sizes of images, labels that never vary."""
    problems = [f'{dataset.where}: {text}' for text in dataset.size_problems(summary.sizes)]
    for name, label in summary.labels.items():
        kind = dataset.kinds[name]
        if label['unlabelled'] == label['images']:
            what = 'no labelled pixel' if kind.dense else 'no value'
            problems.append(
                f'{dataset.where}: label {name!r} has {what} in any of '
                f'{label["images"]} images; check how it is decoded (ignore, remap, scale)'
            )
            continue
        if text := kind.suspicion(label['low'], label['high'], split=True):
            text = text.replace(';', f' in {label["images"]} images;')
            problems.append(f'{dataset.where}: label {name!r} {text}')
    return problems


def check_disjoint(datasets: Iterable[MultiTaskDataset]) -> list[str]:
    """Problems with ids that occur in two splits of one folder."""
    problems = []
    splits = [dataset for dataset in datasets if isinstance(dataset, MultiTaskFolder)]
    for first, second in combinations(splits, 2):
        common = sorted(set(first.ids) & set(second.ids))
        if first.data_root == second.data_root and common:
            problems.append(
                f'{first.split_path}: {len(common)} ids are also in split '
                f'{second.split!r}, e.g. {common[0]}'
            )
    return problems


@dataclass
class DataSummary:
    """Sums over the reports of a split."""

    images: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, report: SampleReport) -> None:
        """Add one report."""
        self.images += 1
        self.problems += report.problems
        if report.size is not None:
            self.sizes.add(report.size)
        for name, (low, high, share) in report.labels.items():
            label = self.labels.setdefault(
                name, dict(images=0, low=np.nan, high=np.nan, share=0.0, unlabelled=0)
            )
            label['images'] += 1
            label['low'] = np.fmin(label['low'], low)
            label['high'] = np.fmax(label['high'], high)
            label['share'] += share
            label['unlabelled'] += share == 0
