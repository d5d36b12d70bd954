"""The common base of all data sets: positions in, packed samples out."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from bmtas.files import nearest
from bmtas.kinds import Kind, build_kind
from bmtas.registry import TRANSFORMS


def chosen_labels(
    owner: Any, labels: Sequence[str] | None, known: Iterable[str]
) -> tuple[str, ...]:
    """The labels asked for, all that are known for None.

    Raises:
        ValueError: An unknown one.
    """
    known = tuple(known)
    for name in labels or ():
        if name not in known:
            raise ValueError(
                f'{type(owner).__name__} has no label {name!r}; {nearest(name, known)}'
            )
    return known if labels is None else tuple(labels)


class MultiTaskDataset(Dataset):
    """A data set addressed by position.

    A position is ``epoch * len(dataset) + index``. What ``dataset[position]`` returns is a pure
    function of (augmentation_seed, position): the generator handed to the transforms is seeded by
    (augmentation_seed, epoch, index), so neither the number of workers nor the number of processes
    nor what was loaded before changes a sample.

    Args:
        labels: Keys of the labels to load. A subclass rejects keys that it does not have.
        kinds: Label key -> kind (or its config) that the task table expects.
        pipeline: Transforms (configs or callables), each ``(results, rng) -> results``.
        augmentation_seed: Seed of the transforms' random numbers.

    Subclasses implement ``__len__`` and ``load``, and set ``metainfo``; those that know the kinds
    of their labels set ``known_kinds`` before they call this constructor.

    Raises:
        ValueError: A label is of another kind, or of another size, than the task table says.
    """

    known_kinds: Mapping[str, Kind] = {}

    metainfo: Mapping[str, Any] = {}

    expected_sizes: Mapping[str, int] = {}
    """Number of images in each split of a published data set."""

    split = ''

    how_to_get = 'fetch it again, or point --data-root at it'
    """What to do when data is not there; ends the error messages."""

    def __init__(
        self,
        labels: Sequence[str],
        pipeline: Sequence[Mapping[str, Any] | Callable] = (),
        augmentation_seed: int = 0,
        kinds: Mapping[str, Any] | None = None,
    ) -> None:
        told = {name: build_kind(kind, f'label {name!r}') for name, kind in (kinds or {}).items()}
        for name in set(told) & set(self.known_kinds) & set(labels):
            self._agree(name, self.known_kinds[name], told[name])
        self.kinds = {**told, **self.known_kinds}
        self.labels = tuple(labels)
        self.augmentation_seed = augmentation_seed
        self.pipeline = [
            transform if callable(transform) else TRANSFORMS.build(transform)
            for transform in pipeline
        ]

    def load(self, index: int) -> dict[str, Any]:
        """Load one raw sample.

        Returns:
            dict with ``img`` (H, W, 3) uint8 RGB; ``labels``: name -> array as its kind decodes
            it; ``img_id``; ``img_path`` or None; maybe ``frames``, images of the same clip and
            size, which every transform treats as the image.
        """
        raise NotImplementedError

    def image_names(self) -> Sequence[str]:
        """What tells the images apart that lie on a disk, in order; none where they are made."""
        return ()

    @property
    def where(self) -> str:
        """What messages about the whole split call it."""
        name = type(self).__name__
        return f'{name}, split {self.split!r}' if self.split else name

    def size_problems(self, sizes: Collection[tuple[int, int]]) -> list[str]:
        """What is wrong with the sizes (H, W) of a split's images; any size suits by default."""
        return []

    def wanted_files(self) -> dict[Path, dict[str, None]]:
        """Folder -> names of the files that the split needs, in order; none by default."""
        return {}

    def missing_files(self) -> dict[Path, list[str]]:
        """Folder -> names of the files that the split needs and that are not there.

        Every folder is listed once, so this takes a fraction of a second even for 10,000 images.
        """
        missing = {}
        for folder, names in self.wanted_files().items():
            present = set(os.listdir(folder)) if folder.is_dir() else set()
            absent = [name for name in names if name not in present]
            if absent:
                missing[folder] = absent
        return missing

    def _agree(self, name: str, kind: Kind, told: Kind) -> None:
        if type(kind) is not type(told) or kind.channels != told.channels:
            raise ValueError(
                f'{type(self).__name__}: label {name!r} is {kind} ({kind.channels} channels), the '
                f'task table says {told} ({told.channels} channels)'
            )

    def __getitem__(self, position: int) -> dict[str, Any]:
        epoch, index = divmod(int(position), len(self))
        rng = np.random.default_rng((self.augmentation_seed, epoch, index))
        results = self.load(index)
        results['kinds'] = self.kinds
        results['ori_shape'] = results['img'].shape[:2]
        for transform in self.pipeline:
            if results.get('frames'):
                results = _with_frames(transform, results, rng)
            else:
                results = transform(results, rng)
        return results


def _with_frames(
    transform: Callable, results: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Apply a transform to a sample and, with the same draws, to its frames.

    Raises:
        ValueError: A frame of another size than the image.
    """
    frames = results['frames']
    odd = [f.shape for f in frames if f.shape != results['img'].shape]
    if odd:
        raise ValueError(
            f'image {results.get("img_id")!r} of {results["img"].shape[:2]} has a frame of '
            f'{odd[0][:2]}; all frames of a clip must be of one size, bmtas check names the files'
        )
    alone = {key: value for key, value in results.items() if key != 'frames'}
    twins = [transform(dict(alone, img=frame), copy.deepcopy(rng)) for frame in frames]
    done = transform(alone, rng)
    # the last transform packs
    key = 'img' if 'img' in done else 'inputs'
    frames = [twin[key] for twin in twins]
    return dict(done, frames=frames if key == 'img' else torch.stack(frames))
