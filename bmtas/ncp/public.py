"""Predictors that the paper's public code trained, as predictors of this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bmtas.sealed import load_state

from .data import RecordTable
from .dataset import output_names
from .predictor import CodePredictor

_LINEAR, _NORM = ('weight', 'bias'), ('weight', 'bias', 'running_mean', 'running_var')


def import_public_predictor(
    path: str | Path, table: RecordTable, setting: str, outputs: tuple[str, ...] | None = None
) -> CodePredictor:
    """Read ``best_model.pth`` or ``last_model.pth`` of the public tool (Ding et al., ICLR 2022).

    The file holds the weights alone: names of the outputs follow from the setting, the statistics
    from its records. The public tool takes them over all rows, the held-out ones included.

    Args:
        path: State dict of the public network: batch norm, linear, batch norm, swish, dropout
            (``fc``), then for each group of outputs linear, batch norm, swish, dropout, linear
            (``nets``).
        table: All records of the setting.
        setting: Setting that the network was trained on.
        outputs: Names of its outputs, by default metrics and costs of the published setting.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds something else, or its sizes are not those of the setting.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file, weights of the public tool are read')
    names = list(outputs or output_names(setting))
    try:
        weights = load_state(path)
        groups = _group_sizes(weights)
        hidden, inputs = weights['fc.1.weight'].shape
        width = weights['nets.0.0.weight'].shape[0]
    except Exception as error:  # damaged files raise many kinds
        raise ValueError(
            f'{path}: no weights of the public tool, best_model.pth is meant '
            f'({type(error).__name__}: {str(error).splitlines()[0][:100]})'
        ) from error
    if inputs != table.codes.shape[1] or sum(groups) != len(names):
        raise ValueError(
            f'{path}: a network of {inputs} numbers and {sum(groups)} outputs; setting {setting!r} '
            f'has codes of {table.codes.shape[1]} numbers and the outputs {names}'
        )
    heads = [{'names': [names.pop(0) for _ in range(size)]} for size in groups]
    model = CodePredictor(setting, heads, dimension=inputs, hidden=hidden, head_width=width).eval()
    model.load_state_dict(model.state_dict() | _renamed(weights, len(groups)))
    codes = torch.tensor(table.codes, dtype=torch.float32)
    model.fit_statistics(codes, torch.tensor(table.values(model.names), dtype=torch.float32))
    return model.requires_grad_(False)


def _group_sizes(weights: Mapping[str, Tensor]) -> list[int]:
    """Outputs of each group."""
    number = len({key.split('.')[1] for key in weights if key.startswith('nets.')})
    return [len(weights[f'nets.{group}.4.bias']) for group in range(number)]


def _renamed(weights: Mapping[str, Tensor], groups: int) -> dict[str, Tensor]:
    """The weights under the names, and in the shapes, of a CodePredictor of one member."""
    found = {f'norm.{key}': weights[f'fc.0.{key}'] for key in _NORM}
    pairs = [('common', 'fc.1', 'fc.2')]
    pairs += [(f'heads.{g}.0', f'nets.{g}.0', f'nets.{g}.1') for g in range(groups)]
    for name, linear, norm in pairs:
        found |= {f'{name}.linear.{key}': _member(weights[f'{linear}.{key}']) for key in _LINEAR}
        found |= {f'{name}.norm.{key}': weights[f'{norm}.{key}'] for key in _NORM}
    for g in range(groups):
        found |= {f'heads.{g}.1.{key}': _member(weights[f'nets.{g}.4.{key}']) for key in _LINEAR}
    return found


def _member(value: Tensor) -> Tensor:
    """A linear layer's (out, in) weight as (1, in, out), its (out,) bias as (1, out)."""
    return (value.T if value.dim() == 2 else value)[None]
