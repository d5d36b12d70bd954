"""NYUD-v2 with the frames around each labelled one, as EfficientMTL publishes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmtas.registry import DATASETS

from .folder import MultiTaskFolder
from .nyud import SEMSEG


@DATASETS.register_module()
class NYUDVideo(MultiTaskFolder):
    """Labelled frames (number 20 of each snippet) with their neighbours as ``frames``.

    ::

        <data_root>/<split>/rgb/<id>.png         the labelled frame
        <data_root>/<split>/rgb_18/<id>.png      its neighbours: 18, 19, 21, 22
        <data_root>/<split>/semseg/<id>.png

    Files belong together by their **name**; the public code pairs them by their place in the sorted
    listing, where one missing file shifts all that follow.

    Args:
        data_root: Folder with the folders of the splits.
        split: ``train`` or ``test``.
        labels: Keys of the labels to load; all by default.
        label_files: Folders of further labels, see ``MultiTaskFolder``; semseg is known.
        neighbours: Numbers of the frames that come along.
        img_suffix: Suffix of all frames.
        pipeline, augmentation_seed, kinds: See ``MultiTaskFolder``.

    Raises:
        FileNotFoundError: A folder is missing, or has gaps; the first missing frame is named.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        labels: Sequence[str] | None = None,
        label_files: Mapping[str, Mapping[str, Any]] | None = None,
        neighbours: Sequence[int] = (18, 19, 21, 22),
        img_suffix: str = '.png',
        pipeline: Sequence[Mapping[str, Any] | Callable] = (),
        augmentation_seed: int = 0,
        kinds: Mapping[str, Any] | None = None,
    ) -> None:
        self.neighbours = tuple(neighbours)
        super().__init__(
            str(Path(data_root) / split),
            split,
            labels,
            {'semseg': dict(SEMSEG, folder='semseg'), **(label_files or {})},
            'rgb',
            img_suffix,
            pipeline=pipeline,
            augmentation_seed=augmentation_seed,
            kinds=kinds,
        )

    def read_ids(self) -> list[str]:
        """Names of the labelled frames; every neighbour must be there."""
        folder = self.data_root / self.img_folder
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder}: folder of the labelled frames not found')
        ids = sorted(
            p.name.removesuffix(self.img_suffix) for p in folder.glob(f'*{self.img_suffix}')
        )
        if not ids:
            raise FileNotFoundError(f'{folder}: no files {self.img_suffix}')
        missing = [p for i in ids for p in self.frame_paths(i) if not p.is_file()]
        if missing:
            raise FileNotFoundError(
                f'{missing[0]}: frame missing (and {len(missing) - 1} more); the frames of a '
                f'snippet have one name in rgb and {", ".join(map(self._folder, self.neighbours))}'
            )
        return ids

    @staticmethod
    def _folder(number: int) -> str:
        return f'rgb_{number}'

    def frame_paths(self, img_id: str) -> list[Path]:
        """Paths of the neighbours of a labelled frame."""
        name = f'{img_id}{self.img_suffix}'
        return [self.data_root / self._folder(number) / name for number in self.neighbours]

    def load(self, index: int) -> dict[str, Any]:
        """One raw sample with ``frames``."""
        frames = [self.read_pixels(path) for path in self.frame_paths(self.ids[index])]
        return dict(super().load(index), frames=frames)
