"""Records as a data set for the predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import FUNCTIONS
from torch import Tensor
from torch.utils.data import Dataset

from bmtas.registry import DATASETS
from bmtas.typed import Fraction, Natural

from .data import SETTINGS, cost_names, load_records, split_rows

SPLIT = 'split.json'


def output_names(setting: str) -> tuple[str, ...]:
    """Metrics of a published setting, then its recorded costs.

    Raises:
        ValueError: Unknown setting.
    """
    if setting not in SETTINGS:
        raise ValueError(f'setting {setting!r}, choose from {list(SETTINGS)} or name the outputs')
    return (*SETTINGS[setting], *cost_names(setting))


@DATASETS.register_module()
class NetworkCodeDataset(Dataset):
    """Codes and their recorded metrics.

    A whole batch is read at once, so use ``collate_fn=dict(type='take_batch')``.

    Args:
        data_root: Folder of the records.
        setting: Name of the file without ``.pkl``.
        part: ``train``, ``val``, ``test`` or ``all``.
        outputs: Columns, by default metrics and costs of the published setting.
        split_file: JSON with ``train`` and ``val`` rows, the latter held out as ``test``; relative
            to ``data_root``. ``auto``: ``split.json`` there if it exists, else as None: a fifth of
            the rows, drawn with ``split_seed``, is held out.
        val_fraction: Part of the training rows set apart as ``val``.
        split_seed: Seed of the draws.

    Attributes:
        codes: (N, D) float32, in the codes' own units.
        targets: (N, outputs) float32.
        rows: Row numbers in the file.
    """

    def __init__(
        self,
        data_root: str | Path,
        setting: str,
        part: str = 'train',
        outputs: Sequence[str] | None = None,
        split_file: str | None = 'auto',
        val_fraction: Fraction = 0.05,
        split_seed: Natural = 0,
    ) -> None:
        self.names = tuple(outputs or output_names(setting))
        table = load_records(data_root, setting)
        if split_file == 'auto':
            split_file = SPLIT if (Path(data_root) / SPLIT).is_file() else None
        path = None if split_file is None else Path(data_root) / split_file
        parts = split_rows(len(table), path, val_fraction, split_seed)
        parts['all'] = np.arange(len(table))
        if part not in parts:
            raise ValueError(f'part {part!r}, choose from {list(parts)}')
        self.rows = parts[part]
        if not len(self.rows):
            raise ValueError(
                f'{path or data_root}: part {part!r} of {len(table)} records has none; change the '
                'split file or val_fraction'
            )
        self.codes = torch.tensor(table.codes[self.rows], dtype=torch.float32)
        try:
            values = table.values(self.names)
        except KeyError as error:
            raise ValueError(f'{data_root}: setting {setting!r}: {error.args[0]}') from error
        self.targets = torch.tensor(values[self.rows], dtype=torch.float32)
        self.metainfo = {'setting': setting, 'names': self.names, 'part': part}

    def __len__(self) -> int:
        return len(self.rows)

    def image_names(self) -> list[str]:
        """Row numbers, which tell a run's records apart."""
        return [str(row) for row in self.rows]

    def __getitems__(self, positions: Sequence[int]) -> dict[str, Tensor]:
        """A batch: ``inputs`` (N, D) and ``targets`` (N, outputs).

        A position is ``epoch * len + index``.
        """
        index = torch.as_tensor(positions) % len(self)
        return {'inputs': self.codes[index], 'targets': self.targets[index]}

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        return self.__getitems__([position])


@FUNCTIONS.register_module()
def take_batch(batch: Any) -> Any:
    """Collate of data sets that read a whole batch at once: nothing is left to do."""
    return batch
