"""Birds with 312 attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import read_text
from bmtas.registry import DATASETS

from .files import check_inside
from .image_level import ImageFilesDataset, check_split, held_out

NUM_ATTRIBUTES = 312
NOT_VISIBLE = 1


@DATASETS.register_module()
class CUB200(ImageFilesDataset):
    """CUB-200-2011 (Wah et al., 2011) as published: 11,788 images, 312 attributes.

    ::

        <data_root>/images/<class>/<name>.jpg
        <data_root>/images.txt                               `1 <class>/<name>.jpg`
        <data_root>/train_test_split.txt                     `1 0`; 1 is training
        <data_root>/attributes/image_attribute_labels.txt    image, attribute, present, certainty,
                                                             time; some lines have stray columns

    Label keys are ``attribute_001`` to ``attribute_312``, numbered as in attributes.txt.

    Args:
        data_root: Folder of the data set.
        split: ``train``, ``val`` (every tenth of the training images), ``trainval``, ``test``.
        not_visible: Whether an attribute of certainty 1 ("not visible") is unlabelled
            (``ignore``) or taken as it stands (``keep``).
        options: See ``ImageLevelDataset``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: Files that do not belong together.
    """

    expected_sizes = dict(train=5_395, val=599, trainval=5_994, test=5_794)

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        not_visible: str = 'ignore',
        **options: Any,
    ) -> None:
        check_split('CUB200', split, ('train', 'val', 'trainval', 'test'))
        if not_visible not in ('ignore', 'keep'):
            raise ValueError(f"CUB200: not_visible {not_visible!r}, choose 'ignore' or 'keep'")
        root = Path(data_root)
        self.folder = root / 'images'
        names = _pairs(root / 'images.txt')
        training = _pairs(root / 'train_test_split.txt')
        if list(names) != list(training):
            raise ValueError(
                f'{root}: images.txt lists {len(names)} images, train_test_split.txt '
                f'{len(training)}, or other ids; fetch both again'
            )
        if not {*training.values()} <= {'0', '1'}:
            raise ValueError(f'{root}/train_test_split.txt: expected 0 or 1 for each image')
        is_training = np.array([value == '1' for value in training.values()])
        chosen = np.flatnonzero(is_training == (split != 'test'))
        if split != 'test':
            chosen = chosen[held_out(len(chosen), split)]
        files = list(names.values())
        check_inside(files, root / 'images.txt')
        self.files = [files[index] for index in chosen]
        path = root / 'attributes' / 'image_attribute_labels.txt'
        ids = read_attribute_labels(path, list(map(int, names)), not_visible == 'ignore')
        table = {f'attribute_{n + 1:03d}': ids[chosen, n] for n in range(NUM_ATTRIBUTES)}
        super().__init__(table, dict.fromkeys(table, 2), split, **options)


def _pairs(path: Path) -> dict[str, str]:
    """Number of the image -> second word of each line."""
    rows = [line.split() for line in read_text(path, 'list').splitlines() if line.strip()]
    wrong = any(len(row) != 2 or not row[0].isdecimal() for row in rows)
    if wrong or len({row[0] for row in rows}) != len(rows):
        raise ValueError(f'{path}: expected a number and a word a line, no number twice')
    return dict(rows)


def read_attribute_labels(path: Path, images: Sequence[int], skip_unseen: bool) -> np.ndarray:
    """Ids (N, 312) int64 of the images: 0, 1, or -1 where nothing is said.

    Args:
        path: The file; of each line the first four columns are read.
        images: Ids of the images, in order.
        skip_unseen: Whether certainty 1 ("not visible") is -1.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: attribute labels not found; fetch the data set again')
    if not path.stat().st_size:
        raise ValueError(f'{path}: the file is empty, fetch it again')
    try:
        rows = np.loadtxt(path, np.int64, usecols=(0, 1, 2, 3), ndmin=2)
    except ValueError as error:
        raise ValueError(f'{path}: {error}; the file is damaged, fetch it again') from None
    place = {image: index for index, image in enumerate(images)}
    known = np.isin(rows[:, 0], images) & (rows[:, 1] >= 1) & (rows[:, 1] <= NUM_ATTRIBUTES)
    known &= (rows[:, 2] == 0) | (rows[:, 2] == 1)
    if not known.all():
        bad = rows[~known][0]
        raise ValueError(
            f'{path}: image {bad[0]}, attribute {bad[1]}, value {bad[2]}: no such image, attribute '
            'or value; fetch the file again'
        )
    if skip_unseen:
        rows = rows[rows[:, 3] != NOT_VISIBLE]
    ids = np.full((len(images), NUM_ATTRIBUTES), -1)
    ids[[place[image] for image in rows[:, 0].tolist()], rows[:, 1] - 1] = rows[:, 2]
    return ids
