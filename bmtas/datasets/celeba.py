"""Faces with 40 attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import read_text
from bmtas.registry import DATASETS

from .files import check_inside
from .image_level import ImageFilesDataset, check_split

SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class CelebA(ImageFilesDataset):
    """CelebA (Liu et al., ICCV 2015) as published: 202,599 images, 40 attributes.

    ::

        <data_root>/img_align_celeba/000001.jpg
        <data_root>/list_attr_celeba.txt        count, names, then `000001.jpg -1 1 ...`
        <data_root>/list_eval_partition.txt     `000001.jpg 0`; 0 train, 1 val, 2 test

    Args:
        data_root: Folder of the data set.
        split: ``train``, ``val`` or ``test``.
        options: See ``ImageLevelDataset``; label keys are the names of the attributes.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: Files of different lengths, or a value other than -1 and 1.
    """

    expected_sizes = dict(train=162_770, val=19_867, test=19_962)

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        **options: Any,
    ) -> None:
        check_split('CelebA', split, SPLITS)
        self.folder = Path(data_root) / 'img_align_celeba'
        files, table = read_attributes(Path(data_root) / 'list_attr_celeba.txt')
        partition = read_partition(Path(data_root) / 'list_eval_partition.txt', files)
        chosen = np.flatnonzero(partition == SPLITS.index(split))
        self.files = [files[index] for index in chosen]
        table = {name: ids[chosen] for name, ids in table.items()}
        super().__init__(table, dict.fromkeys(table, 2), split, **options)


def read_attributes(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """File names and ids (0 or 1) by attribute."""
    lines = read_text(path, 'attribute list').splitlines()
    names = lines[1].split() if len(lines) > 1 else []
    rows = [line.split() for line in lines[2:] if line.strip()]
    count = lines[0].strip() if lines else ''
    if not names or not count.isdecimal() or int(count) != len(rows):
        raise ValueError(
            f'{path}: {len(rows)} rows, the first line says {count[:20]!r}; the file is '
            'truncated or of another layout, fetch it again'
        )
    for number, row in enumerate(rows, 3):
        if len(row) != 1 + len(names) or not {*row[1:]} <= {'-1', '1'}:
            raise ValueError(
                f'{path}:{number}: expected a file name and {len(names)} values -1 or 1'
            )
    check_inside((row[0] for row in rows), path)
    values = np.array([row[1:] for row in rows]) == '1'
    return [row[0] for row in rows], {name: values[:, i] for i, name in enumerate(names)}


def read_partition(path: Path, files: Sequence[str]) -> np.ndarray:
    """Number of the split of each file."""
    rows = [line.split() for line in read_text(path, 'partition').splitlines() if line.strip()]
    if len(rows) != len(files) or any(row[0] != name for row, name in zip(rows, files)):
        raise ValueError(
            f'{path}: {len(rows)} rows, the attribute list has {len(files)}; they must name the '
            'same images in the same order, fetch both again'
        )
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or row[1] not in ('0', '1', '2'):
            raise ValueError(f'{path}:{number}: expected a file name and 0, 1 or 2')
    return np.array([int(row[1]) for row in rows])
