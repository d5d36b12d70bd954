"""Look at the data of a run before anything else is built."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmtas.registry import DATASETS

from .base import MultiTaskDataset
from .folder import MultiTaskFolder
from .label_file import OPTIONAL

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def dataset_configs(
    cfg: Mapping[str, Any], dataloaders: Sequence[str] = DATALOADERS
) -> Iterator[dict[str, Any]]:
    """Configs of all data sets on disk that the dataloaders read, each once, wrapped ones too."""
    seen = []
    for _, dataset in _placed_configs(cfg, dataloaders):
        if dataset not in seen:
            seen.append(dataset)
            yield dataset


def _placed_configs(
    cfg: Mapping[str, Any], dataloaders: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Dotted path and config of every data set on disk, without its pipeline."""

    def walk(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if not isinstance(node, Mapping):
            return
        if 'data_root' in node and 'type' in node:
            yield path, {**node, **({'pipeline': []} if 'pipeline' in node else {})}
        yield from walk(node.get('dataset'), f'{path}.dataset')
        for index, child in enumerate(node.get('datasets') or ()):
            yield from walk(child, f'{path}.datasets.{index}')

    for key in dataloaders:
        yield from walk((cfg.get(key) or {}).get('dataset'), f'{key}.dataset')


def describe_missing(dataset: MultiTaskDataset) -> str:
    """One line on the files that a split asks for and that are not there; '' if none is missing."""
    missing: Mapping[Path, Sequence[str]] = dataset.missing_files()
    if not missing:
        return ''
    folder, names = next(iter(missing.items()))
    wanted = len(dataset.wanted_files()[folder])
    more = f'; {len(missing) - 1} more folders are incomplete' if len(missing) > 1 else ''
    state = f'{wanted - len(names)} of them found' if folder.is_dir() else 'the folder is missing'
    if isinstance(dataset, MultiTaskFolder):
        more += _suffix_hint(dataset, folder, names, wanted)
    return (
        f'{folder}: {wanted} files expected for split {dataset.split!r} of '
        f'{type(dataset).__name__}, {state}, e.g. no {names[0]}{more}; {dataset.how_to_get}'
    )


def _suffix_hint(dataset: MultiTaskFolder, folder: Path, names: Sequence[str], wanted: int) -> str:
    """What options of the config may read what is there."""
    hint, images = '', folder == dataset.img_path(dataset.ids[0]).parent
    if 0 < len(names) < wanted and not images:
        hint += f'; {OPTIONAL}'
    path = folder / names[0]
    others = sorted(path.parent.glob(f'{glob.escape(path.stem)}.*'))
    if others:
        what = 'img_suffix' if images else 'suffix'
        hint += f"; there is {others[0].name}, {what}='{others[0].suffix}' reads it"
    return hint


def check_datasets(
    cfg: Mapping[str, Any], dataloaders: Sequence[str] = DATALOADERS
) -> dict[str, list[str]]:
    """End at once where the data of a run is missing or incomplete.

    Tools call this before any model is built. Only names of files are looked at, each folder
    is listed once; bmtas check also reads every file.

    Args:
        cfg: The config of the run.
        dataloaders: Keys of the dataloaders that the run uses.

    Returns:
        Dotted path of each data set on disk -> names of its images.

    Raises:
        FileNotFoundError: One line: the folder expected, what was found there, and the command
            that gets the data.
        ValueError: A split file is empty or repeats ids, or a label is unknown.
    """
    built: list[tuple[dict[str, Any], Any]] = []
    images = {}
    for path, config in _placed_configs(cfg, dataloaders):
        dataset = next((known for other, known in built if other == config), None)
        if dataset is None:
            dataset = DATASETS.build(config)
            message = describe_missing(dataset) if hasattr(dataset, 'missing_files') else ''
            if message:
                raise FileNotFoundError(message)
            built.append((config, dataset))
        images[path] = list(dataset.image_names()) if hasattr(dataset, 'image_names') else []
    return images
