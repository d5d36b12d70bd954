"""From a config to its resource table, and the cost of whole networks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.registry import MODELS
from bmtas.resources.counting import (
    check_convention,
    count_madds,
    count_params,
    count_saved_bytes,
    evaluation_mode,
    free_modules_skipped,
)
from bmtas.resources.fvcore_counter import count_madds_by_fvcore
from bmtas.resources.latency import measure_latency
from bmtas.resources.table import Costs, ResourceTable
from bmtas.structures import build_tasks

UNITS = {'madds': 'MAdds', 'params': 'params', 'activations': 'bytes', 'latency': 'us'}
"""Resources a table can hold, with their units."""
COUNTERS = {'fvcore': count_madds_by_fvcore, 'torch': count_madds}
"""Counters of multiply-adds; they agree to the unit, torch's computes nothing."""
WEIGHT_KEYS = ('weights', 'init_from', 'init_cfg')


@dataclass(frozen=True)
class _Part:
    """A module with the (shapes of) tensors it is called with."""

    module: nn.Module
    inputs: tuple[Tensor, ...]


def without_weights(cfg: Any) -> Any:
    """Copy of a model's config in which no file of weights is named: costs need none."""
    if isinstance(cfg, Mapping):
        return {k: None if k in WEIGHT_KEYS else without_weights(v) for k, v in cfg.items()}
    if isinstance(cfg, list | tuple):
        return type(cfg)(without_weights(v) for v in cfg)
    return cfg


def _parts(
    backbone: Any, tasks: Sequence[Any], head: Mapping[str, Any], size: Sequence[int], device: str
) -> dict[str, Any]:
    """Stem, layers and heads on ``device``, each with its inputs for one image of ``size``."""
    if not isinstance(backbone, nn.Module) and not hasattr(backbone, 'copy_stem'):
        with torch.device(device):
            backbone = MODELS.build(without_weights(backbone.get('backbone', backbone)))
    x = torch.zeros(1, 3, *size, device=device)
    features, parts = [], dict(layers=[], heads={}, names=tuple(backbone.layer_names))
    with torch.no_grad(), torch.device(device):
        stem = backbone.copy_stem().to(device).eval()
        parts['stem'] = _Part(stem, (x,))
        x = stem(x)
        for index in range(backbone.num_layers):
            layer = backbone.copy_layer(index).to(device).eval()
            parts['layers'].append(_Part(layer, (x,)))
            x = layer(x)
            features.append(x)
        low = features[backbone.low_level_index]
        for task in build_tasks(tasks):
            shape = dict(
                deep_channels=x.shape[1], low_channels=low.shape[1], out_channels=task.channels
            )
            module = MODELS.build({**without_weights(head), **shape})
            parts['heads'][task.name] = _Part(module.to(device).eval(), (x, low))
    return parts


def _parts_of_model(
    model: Mapping[str, Any], tasks: Sequence[Any], size: Sequence[int], device: str
) -> dict[str, Any]:
    """As ``_parts``, of a model that cuts itself: it has ``cost_parts``."""
    with torch.device(device):
        built = MODELS.build(without_weights(dict(model, tasks=tasks))).to(device).eval()
    with torch.no_grad():
        found = built.cost_parts(torch.zeros(1, 3, *size, device=device))
    return dict(
        stem=_Part(*found['stem']),
        layers=[_Part(*part) for part in found['layers'].values()],
        heads={name: _Part(*part) for name, part in found['heads'].items()},
        names=tuple(found['layers']),
    )


def _hash(parts: Mapping[str, Any]) -> str:
    """Hash of the structure: what the modules print, which holds strides and dilations too."""
    text = [repr(parts['stem'].module), repr([part.module for part in parts['layers']])]
    text += [f'{name}: {part.module!r}' for name, part in parts['heads'].items()]
    return hashlib.sha256('\n'.join(text).encode()).hexdigest()[:16]


def _cost(part: _Part, quantity: str, convention: str, counter: str) -> int:
    if quantity == 'madds':
        return COUNTERS[counter](part.module, *part.inputs, convention=convention)
    if quantity == 'params':
        return count_params(part.module)
    if quantity == 'activations':
        return count_saved_bytes(part.module, *part.inputs)
    return measure_latency(part.module, *part.inputs)


def _costs(
    parts: Mapping[str, Any], quantity: str, convention: str, counter: str = 'fvcore'
) -> Costs:
    how = (quantity, convention, counter)
    return Costs(
        stem=_cost(parts['stem'], *how),
        layers=tuple(_cost(part, *how) for part in parts['layers']),
        heads={name: _cost(part, *how) for name, part in parts['heads'].items()},
    )


def count_table(
    backbone: Any,
    tasks: Sequence[Any],
    head: Mapping[str, Any],
    input_size: Sequence[int],
    convention: str = 'mac',
    quantity: str = 'madds',
    device: str = 'cpu',
    path: str | os.PathLike | None = None,
    counter: str = 'fvcore',
    model: Mapping[str, Any] | None = None,
) -> ResourceTable:
    """Count one copy of the stem, each layer and each head.

    Args:
        backbone: Config of a backbone, config of an encoder that has one, or a backbone; None for
            a ``model`` that cuts itself.
        tasks: Task table (configs or ``Task``).
        head: Config of the head, without its channels.
        input_size: (H, W) of the image that is evaluated, in pixels.
        convention: ``mac`` or ``paper``; for ``madds`` only.
        quantity: ``madds``, ``params``, ``activations`` (bytes kept for the backward pass) or
            ``latency`` (median microseconds on ``device``).
        device: Where latency is measured; everything else needs no device.
        path: File of a stored table. It is used when unit, convention, input size and structure
            agree, and written otherwise.
        counter: Who counts multiply-adds: ``fvcore``, which runs every part once, or ``torch``,
            which needs shapes only. Both give the same integers.
        model: Config of a whole model with the method ``cost_parts``,
            whose stem, layers and heads are counted instead.

    Raises:
        ValueError: Unknown convention, quantity or counter, or a stored file that is no table.
    """
    check_convention(convention)
    if quantity not in UNITS:
        raise ValueError(f'resources: unknown quantity {quantity!r}, choose from {sorted(UNITS)}')
    if counter not in COUNTERS:
        raise ValueError(f'resources: unknown counter {counter!r}, choose from {sorted(COUNTERS)}')
    timed = quantity == 'latency'
    place = (input_size, device if timed else 'meta')
    if model is None:
        parts = _parts(backbone, tasks, head, *place)
    else:
        parts = _parts_of_model(model, tasks, *place)
    identity = dict(
        unit=UNITS[quantity],
        convention={'madds': convention, 'latency': str(device)}.get(quantity, 'exact'),
        input_size=tuple(int(n) for n in input_size),
        backbone=_hash(parts),
    )
    if path is not None and Path(path).is_file():
        table = ResourceTable.from_file(path)
        if table.identity() == identity and tuple(parts['heads']) == table.tasks:
            return table
    costs = _costs(parts, quantity, convention, counter)
    table = ResourceTable(
        stem=costs.stem,
        layers=costs.layers,
        heads=costs.heads,
        layer_names=parts['names'],
        params=_costs(parts, 'params', convention),
        **identity,
    )
    if path is not None:
        table.to_file(path)
    return table


def table_from_cfg(cfg: Any, path: str | os.PathLike | None = None, **kwargs: Any) -> ResourceTable:
    """Table of a whole config: its backbone, head, tasks and ``input_size``.

    The config's optional ``resources = dict(convention=..., quantity=..., device=...)`` gives the
    defaults of ``kwargs``, the arguments of ``count_table``.
    """
    options = {**(cfg.get('resources') or {}), **kwargs}
    model = cfg['model']
    cuts_itself = 'encoder' not in model
    return count_table(
        None if cuts_itself else model['encoder']['backbone'],
        cfg['tasks'],
        model['head'],
        cfg['input_size'],
        path=path,
        model=model if cuts_itself else None,
        **options,
    )


def count_model(
    model: nn.Module | Mapping[str, Any],
    input_size: Sequence[int],
    convention: str = 'mac',
    **routing: Any,
) -> dict[str, Any]:
    """Cost of one image through a whole multi-task network, whatever its encoder.

    Args:
        model: A ``MultiTaskModel`` or its config. A model keeps its weights and device.
        input_size: (H, W) in pixels.
        convention: ``mac`` or ``paper``.
        routing: Passed to the model's forward.

    Returns:
        dict(madds, params, convention, input_size): integers, the strings and [H, W].
    """
    check_convention(convention)
    if isinstance(model, Mapping):
        with torch.device('meta'):
            model = MODELS.build(without_weights(model))
    shadow = _MetaCall(model)
    image = torch.empty(1, 3, *input_size, device='meta')
    with evaluation_mode(model), free_modules_skipped(model):
        madds = count_madds(shadow, image, convention=convention, mode='tensor', **routing)
    return dict(
        madds=madds,
        params=count_params(model),
        convention=convention,
        input_size=[int(n) for n in input_size],
    )


class _MetaCall(nn.Module):
    """Calls a model with meta tensors in the place of its weights; the model is left alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # not registered: the wrapped model's modes and parameters are none of ours
        self._model = (model,)
        # architecture logits choose what runs, so their values are needed
        kept = getattr(getattr(model, 'encoder', None), 'arch_parameters', None)
        self._kept = {id(p) for p in kept()} if kept else set()

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        (model,) = self._model
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        shadow = {k: v if id(v) in self._kept else v.to('meta') for k, v in state.items()}
        return torch.func.functional_call(model, shadow, inputs, kwargs)
