"""Data sets on disk: images, one sub-folder per label, lists of ids."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.kinds import Category
from bmtas.registry import DATASETS

from .base import MultiTaskDataset, chosen_labels
from .files import read_image, read_split
from .image_level import warn_constant
from .label_file import LabelFile
from .label_table import LabelColumn


@DATASETS.register_module()
class MultiTaskFolder(MultiTaskDataset):
    """Images and labels in one sub-folder each, splits in lists of ids.

    ::

        <data_root>/images/<id>.jpg
        <data_root>/<folder of a label>/<id>.png
        <data_root>/gt_sets/<split>.txt        one id a line

    Args:
        data_root: Folder of the data set.
        split: Name of the split file without ``.txt``.
        labels: Keys of the labels to load; all that are declared by default.
        label_files: Label key -> ``dict(folder=, kind=, suffix=, ...)``, the arguments of
            ``LabelFile``, among them how the values are decoded; or ``dict(table=, column=,
            ...)``, those of ``LabelColumn``, for labels of whole images. What the task table says
            of the kind need not be repeated.
        img_folder: Folder of the images.
        img_suffix: Suffix of the images.
        split_folder: Folder of the split files.
        pipeline: Transforms.
        augmentation_seed: Seed of the transforms' random numbers.
        kinds: Label key -> kind that the task table expects.

    Raises:
        FileNotFoundError: The folder or the split file is missing.
        ValueError: Empty split, repeated ids, unknown label.
    """

    published = ''
    """Name of a published data set for bmtas prepare."""

    def __init__(
        self,
        data_root: str,
        split: str,
        labels: Sequence[str] | None = None,
        label_files: Mapping[str, Mapping[str, Any]] | None = None,
        img_folder: str = 'images',
        img_suffix: str = '.jpg',
        split_folder: str = 'gt_sets',
        pipeline: Sequence[Mapping[str, Any] | Callable] = (),
        augmentation_seed: int = 0,
        kinds: Mapping[str, Any] | None = None,
    ) -> None:
        self.data_root = Path(data_root)
        self.split = split
        self.img_folder = img_folder
        self.img_suffix = img_suffix
        self.split_path = self.data_root / split_folder / f'{split}.txt'
        if not self.data_root.is_dir():
            raise FileNotFoundError(
                f'{data_root}: data folder of {type(self).__name__} not found; {self.how_to_get}'
            )
        readers = self.build_readers(told_kinds(label_files or {}, kinds or {}))
        labels = chosen_labels(self, labels, readers)
        self.readers = {name: readers[name] for name in labels}
        self.known_kinds = {name: reader.kind for name, reader in self.readers.items()}
        try:
            self.ids = self.read_ids()
        except FileNotFoundError as error:
            raise FileNotFoundError(f'{error}; {self.how_to_get}') from None
        super().__init__(labels, pipeline, augmentation_seed, kinds)
        if split == 'train':
            warn_constant(self._columns(), self.split_path)

    def _columns(self) -> dict[str, np.ndarray]:
        """Ids of the classes that stand in tables, -1 where there is none."""
        found = {}
        for name, reader in self.readers.items():
            if isinstance(reader, LabelColumn) and isinstance(reader.kind, Category):
                labels = (reader.read(self.data_root, img_id) for img_id in self.ids)
                found[name] = np.array([-1 if label is None else int(label) for label in labels])
        return found

    def read_ids(self) -> list[str]:
        """The ids of the split."""
        return read_split(self.split_path)

    def image_names(self) -> Sequence[str]:
        """The ids of the split."""
        return self.ids

    @property
    def how_to_get(self) -> str:
        """What to do when the data is not there; ends the error messages."""
        if not self.published:
            return (
                'lay it out as one folder for the images, one per label and one of split files '
                '(docs/data.md), or point --data-root at it'
            )
        return (
            f'get it with `bmtas prepare {self.published} --data-root '
            f'{shlex.quote(str(self.data_root))}`, or point --data-root at it'
        )

    @property
    def where(self) -> str:
        """The split file."""
        return str(self.split_path)

    def build_readers(self, label_files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Label key -> reader with ``kind``, ``optional``, ``paths`` and ``read`` of (root, id)."""
        for name, spec in label_files.items():
            if 'kind' not in spec:
                raise ValueError(
                    f'label_files.{name}: kind is missing, say it there or give a task this label'
                )
        return {
            name: (LabelColumn if 'table' in spec else LabelFile)(**spec)
            for name, spec in label_files.items()
        }

    def __len__(self) -> int:
        return len(self.ids)

    def img_path(self, img_id: str) -> Path:
        """Path of an image."""
        return self.data_root / self.img_folder / f'{img_id}{self.img_suffix}'

    def frame_paths(self, img_id: str) -> list[Path]:
        """Paths of the images that come along as ``frames``."""
        return []

    def read_pixels(self, path: Path) -> np.ndarray:
        """The image of a file, (H, W, 3) uint8 RGB."""
        return read_image(path)

    def load(self, index: int) -> dict[str, Any]:
        """One raw sample, see ``MultiTaskDataset.load``.

        Raises:
            FileNotFoundError, ValueError: A file is missing, damaged, out of range, or of another
                size than the image; the message names it.
        """
        img_id = self.ids[index]
        path = self.img_path(img_id)
        img = self.read_pixels(path)
        labels = {}
        for name, reader in self.readers.items():
            label = reader.read(self.data_root, img_id)
            if label is None:
                continue
            if reader.kind.dense and label.shape[:2] != img.shape[:2]:
                where = reader.paths(self.data_root, img_id)[0]
                raise ValueError(size_problem(where, name, label.shape, path, img.shape))
            labels[name] = label
        return dict(img=img, labels=labels, img_id=img_id, img_path=str(path))

    def wanted_files(self) -> dict[Path, dict[str, None]]:
        """Folder -> names of the files that the split needs, in the order of the ids."""
        wanted: dict[Path, dict[str, None]] = defaultdict(dict)
        readers = [reader for reader in self.readers.values() if not reader.optional]
        for img_id in self.ids:
            paths = [self.img_path(img_id)]
            for reader in readers:
                paths += reader.paths(self.data_root, img_id)
            for path in paths:
                wanted[path.parent][path.name] = None
        return dict(wanted)


def told_kinds(
    label_files: Mapping[str, Mapping[str, Any]], kinds: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Label files with the kinds and options that the task table says and they do not repeat."""
    told = {}
    for name, spec in label_files.items():
        options = dict(kinds.get(name, {}))
        kind = options.pop('type', None)
        known = options if spec.get('kind', kind) == kind else {}
        told[name] = {**({} if kind is None else dict(kind=kind)), **known, **spec}
    return told


def size_problem(
    where: Path, name: str, label: Sequence[int], image_path: Path, image: Sequence[int]
) -> str:
    """One line on a label (H, W, ...) whose size is not that of its image (H, W, ...)."""
    text = (
        f'{where}: label {name!r} is {label[0]}x{label[1]}, its image {image_path.name} is '
        f'{image[0]}x{image[1]} (height x width); they must agree'
    )
    if (label[0], label[1]) == (image[1], image[0]):
        text += (
            '. Turned by 90 degrees they would: one of the two files may carry an EXIF '
            'orientation that the other lacks'
        )
    return text
