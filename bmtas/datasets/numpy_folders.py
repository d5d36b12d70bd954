"""Data sets in the layout of LibMTL and MTAN: a folder of arrays for each split and label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.registry import DATASETS

from .files import read_array
from .folder import MultiTaskFolder


@DATASETS.register_module()
class NumpyFolders(MultiTaskFolder):
    """Images and labels as ``<data_root>/<split>/<folder>/<number>.npy``; no split files.

    Images are (H, W, 3), bytes or floats in [0, 1]. All images of the split's folder are taken, in
    the order of their numbers.

    Args:
        data_root: Folder with the folders of the splits.
        split: ``train``, ``val`` ...
        labels, label_files, img_folder: See ``MultiTaskFolder``; all files end in ``.npy``.
        pipeline, augmentation_seed, kinds: See ``MultiTaskFolder``.

    Raises:
        FileNotFoundError: The folder of the split is missing or empty.
        ValueError: An image of another form.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        labels: Sequence[str] | None = None,
        label_files: Mapping[str, Mapping[str, Any]] | None = None,
        img_folder: str = 'image',
        pipeline: Sequence[Mapping[str, Any] | Callable] = (),
        augmentation_seed: int = 0,
        kinds: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            str(Path(data_root) / split),
            split,
            labels,
            {name: dict(spec, suffix='.npy') for name, spec in (label_files or {}).items()},
            img_folder,
            '.npy',
            pipeline=pipeline,
            augmentation_seed=augmentation_seed,
            kinds=kinds,
        )

    def read_ids(self) -> list[str]:
        folder = self.data_root / self.img_folder
        names = [path.stem for path in folder.glob('*.npy')]
        if not names:
            raise FileNotFoundError(f'{folder}: no arrays <number>.npy there')
        return sorted(names, key=lambda name: (len(name), name) if name.isdigit() else (99, name))

    def read_pixels(self, path: Path) -> np.ndarray:
        array = read_array(path)
        if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
            array = np.moveaxis(array, 0, -1)
        if array.ndim != 3 or array.shape[2] != 3:
            raise ValueError(f'{path}: an image has three channels, this is {array.shape}')
        if array.dtype == np.uint8:
            return array
        low, high = float(array.min()), float(array.max())
        if not (np.issubdtype(array.dtype, np.floating) and low >= 0 and high <= 1):
            raise ValueError(
                f'{path}: an image holds bytes or floats from 0 to 1, this {array.dtype} from '
                f'{low:.3g} to {high:.3g}'
            )
        return np.round(255 * array).astype(np.uint8)
