"""Data sets whose labels are values of the whole image, all of them in memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from bmtas.files import nearest
from bmtas.kinds import Category

from .base import MultiTaskDataset, chosen_labels
from .files import read_image

VAL_EVERY = 10
"""Every so-manieth training image is the validation split of data sets that have none."""


class ImageLevelDataset(MultiTaskDataset):
    """Images with one class id for each label key.

    Args:
        table: Label key -> ids of all images of the split (N,), -1 unlabelled.
        classes: Label key -> number of classes.
        split: Name of the split.
        labels: Keys to load, all by default.
        options: See ``MultiTaskDataset``.

    Subclasses implement ``image``.

    Raises:
        ValueError: Unknown label, or an empty split.
    """

    def __init__(
        self,
        table: Mapping[str, np.ndarray],
        classes: Mapping[str, int],
        split: str,
        /,  # given by subclasses, not by configs
        labels: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        labels = chosen_labels(self, labels, table)
        self.split = split
        self.table = {name: table[name].astype(np.int64) for name in labels}
        self.known_kinds = {name: Category(classes[name]) for name in labels}
        if split == 'train':
            warn_constant(self.table, type(self).__name__)
        super().__init__(labels, **options)

    def image(self, index: int) -> tuple[np.ndarray, str, str | None]:
        """Image (H, W, 3) uint8, its id, and its path if it has one."""
        raise NotImplementedError

    def load(self, index: int) -> dict[str, Any]:
        """One raw sample, see ``MultiTaskDataset.load``."""
        img, img_id, path = self.image(index)
        labels = {name: ids[index] for name, ids in self.table.items()}
        return dict(img=img, labels=labels, img_id=img_id, img_path=path)


class ImageFilesDataset(ImageLevelDataset):
    """The images are files of one folder.

    Attributes:
        folder: Where they are.
        files: Their names, in order.
    """

    folder: Path
    files: Sequence[str]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def where(self) -> str:
        """The folder and the split."""
        return f'{self.folder}, split {self.split!r}'

    def image_names(self) -> Sequence[str]:
        """Names of the files."""
        return self.files

    def image(self, index: int) -> tuple[np.ndarray, str, str]:
        path = self.folder / self.files[index]
        return read_image(path), path.stem, str(path)

    def wanted_files(self) -> dict[Path, dict[str, None]]:
        """Folder -> names of the images, in order."""
        wanted: dict[Path, dict[str, None]] = {}
        for file in self.files:
            folder, name = os.path.split(file)
            wanted.setdefault(self.folder / folder, {})[name] = None
        return wanted


def warn_constant(table: Mapping[str, np.ndarray], source: str | Path) -> None:
    """Warn of labels that have one value in all labelled images: nothing can be learnt of them."""
    same = [name for name, ids in table.items() if len(np.unique(ids[ids >= 0])) < 2]
    if same:
        shown = ', '.join(same[:5]) + (f' and {len(same) - 5} more' if len(same) > 5 else '')
        print_log(
            f'{source}: never vary in the training split: {shown}; leave such tasks out',
            'current',
            logging.WARNING,
        )


def held_out(count: int, split: str) -> np.ndarray:
    """Positions of ``train``, ``val`` or ``trainval`` among the training images of a data set."""
    positions = np.arange(count)
    last = positions % VAL_EVERY == VAL_EVERY - 1
    return {'train': positions[~last], 'val': positions[last], 'trainval': positions}[split]


def check_split(name: str, split: str, known: Sequence[str]) -> None:
    """Raise a ValueError if a data set has no such split."""
    if split not in known:
        raise ValueError(f'{name}: there is no split {split!r}; {nearest(split, known)}')
