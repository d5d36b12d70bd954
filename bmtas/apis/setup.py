"""A search and a training from Python objects: anybody's backbone and data loaders, no config."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from bmtas.datasets import MultiTaskDataset
from bmtas.engine import CONFIGS, load_config
from bmtas.files import write_json
from bmtas.models.backbones import register_architecture
from bmtas.registry import DATASETS

OWN = 'own'
_DATA: dict[str, Dataset] = {}


@DATASETS.register_module()
class OwnDataset(MultiTaskDataset):
    """A data set of the calling program, by the name that ``Setup`` gave it.

    Its items are ``(image, {task: label})``, or one dict with the key ``image`` and those of the
    tasks. Images: (3, H, W) tensors, (H, W, 3) arrays or PIL; integers 0 to 255 or floats 0 to 1,
    not normalised. Labels: tensors or arrays (H, W), normals (3, H, W) or (H, W, 3), numbers for
    image-level tasks; None, or a missing key, is no label.

    The random generators of torch, numpy and Python are seeded before each item by its position, so
    that a resumed run reads what the uninterrupted one would have read.

    Raises:
        ValueError: An item of another form; the message has its number.
    """

    def __init__(
        self,
        name: str,
        labels: Sequence[str] = (),
        kinds: Mapping[str, Any] | None = None,
        augmentation_seed: int = 0,
    ) -> None:
        super().__init__(labels, [dict(type='PackSample')], augmentation_seed, kinds)
        if name not in _DATA:
            raise ValueError(f'data set {name!r} belongs to a program that made it with Setup')
        self.name = name
        self.source = _DATA[name]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, position: int) -> dict[str, Any]:
        sequence = np.random.SeedSequence((self.augmentation_seed, int(position)))
        torch_seed, numpy_seed, seed = map(int, sequence.generate_state(3))
        torch.manual_seed(torch_seed)
        np.random.seed(numpy_seed)  # noqa: NPY002
        random.seed(seed)
        return super().__getitem__(position)

    def load(self, index: int) -> dict[str, Any]:
        item = self.source[index]
        where = f'item {index} of data set {self.name!r}'
        if isinstance(item, Mapping):
            image, labels = item.get('image'), {k: v for k, v in item.items() if k != 'image'}
        elif isinstance(item, Sequence) and len(item) == 2 and isinstance(item[1], Mapping):
            image, labels = item
        else:
            raise ValueError(f'{where}: must be (image, dict of labels) or a dict with image')
        found = {
            name: _label(labels[name], self.kinds[name], f'{where}: label {name!r}')
            for name in self.labels
            if labels.get(name) is not None
        }
        image = _image(image, where)
        return dict(img=image, labels=found, img_id=f'{self.name}_{index}', img_path=None)


def _image(image: Any, where: str) -> np.ndarray:
    """(H, W, 3), uint8 or float32 from 0 to 255."""
    array = np.asarray(image)
    if isinstance(image, torch.Tensor) or (array.ndim == 3 and array.shape[-1] != 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise ValueError(f'{where}: an image has three channels, this is {array.shape}')
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    low, high = float(array.min()), float(array.max())
    if np.issubdtype(array.dtype, np.integer) and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f'{where}: floats of an image lie between 0 and 1, these from {low:.3g} to {high:.3g}; '
            'leave the normalisation to the model (Setup(normalize=...))'
        )
    return np.ascontiguousarray(255 * array, np.float32)


def _label(label: Any, kind: Any, where: str) -> np.ndarray:
    """The array that the kind's files would give: (H, W[, C]), a scalar for image-level kinds."""
    array = np.asarray(label)
    if kind.dense and array.ndim == 3:
        array = array[0] if array.shape[0] == 1 else array
        if array.ndim == 3 and array.shape[0] == 3:
            array = np.moveaxis(array, 0, -1)
    if array.ndim not in ((2, 3) if kind.dense else (0,)):
        raise ValueError(f'{where}: a label of kind {kind} is not {array.shape}')
    if np.issubdtype(array.dtype, np.floating):
        return np.ascontiguousarray(array, np.float32)
    return np.ascontiguousarray(array, np.int64) if kind.dense else array.astype(np.int64)


@dataclass(frozen=True)
class Setup:
    """All that a search and a training need, from objects of the calling program.

    Args:
        backbone: A torch module, or the name of an architecture with a recipe.
        tasks: Task name -> entry as in a config: ``dict(kind='classes', num_classes=5)``.
        train: Data loader, or data set, of the training; see ``OwnDataset`` for its items. A
            loader's data set, batch size and workers are used; order and collation are ours.
        val: The same for tests and validation.
        stem, layers: Names of the backbone's children: of the shared stem, and for each layer that
            tasks may share or not, a name or a list of names, called one after the other.
        work_dir: Where runs leave their files: ``search`` and ``train`` in it.
        normalize: What the weights of the backbone were made for: ``unit`` or ``imagenet``.
        options: Anything else of a config by dotted key, e.g. ``{'model.head.width': 64}``.

    Raises:
        ValueError: A loader that cannot be used.
    """

    backbone: nn.Module | str
    tasks: Mapping[str, Mapping[str, Any]]
    train: DataLoader | Dataset
    val: DataLoader | Dataset | None = None
    stem: Sequence[str] | None = None
    layers: Sequence[str | Sequence[str]] | None = None
    work_dir: str | Path = 'work_dirs/program'
    normalize: str = 'imagenet'
    options: Mapping[str, Any] = field(default_factory=dict)

    def config(self, stage: str, encoder: Mapping[str, Any], options: Mapping[str, Any]) -> Config:
        """The complete config of one stage; it is left in the work dir as JSON.

        Args:
            stage: ``search`` or ``train``, also its folder in the work dir.
            encoder: Config of the encoder, without the backbone.
            options: Overrides by dotted key; those of the setup come first.
        """
        folder = Path(self.work_dir) / stage
        bases = [f'schedules/{dict(search="search", train="retrain")[stage]}_short.py']
        bases = [str(CONFIGS / '_base_' / name) for name in (*bases, 'default_runtime.py')]
        train, size = self._loader(self.train, 'train')
        content = dict(
            _base_=bases,
            custom_imports=dict(imports=[__name__]),
            method=OWN,
            tasks={name: dict(entry) for name, entry in self.tasks.items()},
            input_size=size,
            model=dict(
                type='MultiTaskModel',
                encoder=dict(encoder, backbone=self._backbone()),
                head=dict(type='DeepLabV3PlusHead', low_proj=48, width=128, activation='relu'),
                data_preprocessor=dict(type='MultiTaskPreprocessor', normalize=self.normalize),
            ),
            train_dataloader=train,
        )
        if self.val is None:
            content['val_cfg'] = None
        else:
            held_out, _ = self._loader(self.val, 'val')
            content |= dict(val_dataloader=held_out, test_dataloader=held_out)
        path = folder / f'{stage}.json'
        write_json(path, content)
        return load_config(path, {**self.options, **options}, work_dir=folder)

    def _backbone(self) -> dict[str, Any]:
        arch = self.backbone
        if isinstance(arch, nn.Module):
            register_architecture(OWN, lambda: copy.deepcopy(self.backbone))
            arch = OWN
        found = dict(type='LayeredBackbone', arch=arch)
        if self.stem is not None:
            layers = [part if isinstance(part, str) else list(part) for part in self.layers or ()]
            found |= dict(stem=list(self.stem), layers=layers)
        return found

    def _loader(self, given: DataLoader | Dataset, split: str) -> tuple[dict[str, Any], list[int]]:
        """Config of the data loader of a split, and (H, W) of its first image."""
        loader = given if isinstance(given, DataLoader) else None
        data = given if loader is None else loader.dataset
        if isinstance(data, IterableDataset) or not hasattr(data, '__getitem__'):
            raise ValueError(f'{split}: its data set must have items and a length, so that runs '
                             'can be resumed; wrap a stream in a data set')  # fmt: skip
        name = f'{OWN}/{split}'
        _DATA[name] = data
        workers = 0 if loader is None else loader.num_workers
        sampler = dict(type='PositionSampler')
        if split != 'train':
            sampler = dict(type='DefaultSampler', shuffle=False, round_up=False)
        found = dict(
            dataset=dict(type='OwnDataset', name=name),
            batch_size=(loader.batch_size if loader is not None else None) or 8,
            num_workers=workers,
            persistent_workers=workers > 0,
            drop_last=split == 'train',
            sampler=sampler,
            collate_fn=dict(type='pseudo_collate'),
        )
        size = OwnDataset(name).load(0)['img'].shape[:2]
        return found, list(size)
