"""From a config to its resource table, and the cost of whole networks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bmtas.registry import MODELS
from bmtas.resources.counting import check_convention, count_madds, count_params, plain_evaluation
from bmtas.resources.network import Network, WholeNetwork, without_weights
from bmtas.resources.parts import STEM, Call
from bmtas.resources.table import Costs, ResourceTable
from bmtas.resources.units import UNITS, Unit, get_unit


class Counter:
    """Counts calls in one unit, those of equal structure once."""

    def __init__(self, unit: Unit, how: str) -> None:
        self.unit, self.how = unit, how
        self._known: dict[str, int] = {}

    def one(self, call: Call | None) -> int:
        """Cost of one run of a part; 0 where there is none."""
        if call is None:
            return 0
        if call.structure not in self._known:
            cost = self.unit.count(call.part.module, call.inputs, self.how)
            self._known[call.structure] = cost
        return self._known[call.structure]

    def all(self, call: Call) -> int:
        """Cost of all runs of a part."""
        return self.one(call) * (call.times if self.unit.per_call else 1)

    def costs(self, network: Network) -> Costs:
        """Costs of the stem, of one copy of each layer and of each head."""
        layers = range(len(network.layer_names))
        costs = Costs(
            stem=self.one(network.one_of(STEM)),
            layers=tuple(self.one(network.one_of(layer)) for layer in layers),
            heads={name: self.one(call) for name, call in network.heads.items()},
        )
        if self.unit.additive:
            return costs
        return replace(costs, stem=costs.stem + max(0, self.whole(network) - costs.total()))

    def whole(self, network: Network) -> int:
        """Cost of the network as it is, not as a sum."""
        return self.unit.count(WholeNetwork(network.model), (network.image,), self.how)


def how_counted(unit: Unit, convention: str, device: str) -> str:
    """What the integers of a unit depend on: the convention, the device, or nothing."""
    return {'convention': convention, 'device': str(device)}.get(unit.depends, 'exact')


def count_table(
    model: Mapping[str, Any],
    input_size: Sequence[int],
    convention: str = 'mac',
    quantity: str = 'madds',
    device: str = 'cpu',
    path: str | os.PathLike | None = None,
) -> ResourceTable:
    """Count one copy of the stem, each layer and each head.

    Args:
        model: Config of a ``MultiTaskModel`` with its tasks. One that leaves the tree open is
            counted as the shared network, whose parts all its trees are made of.
        input_size: (H, W) of the image that is evaluated, in pixels.
        convention: ``mac`` or ``paper``; for ``madds`` only.
        quantity: See ``bmtas.resources.units``: ``madds``, ``params``, ``activations`` (bytes kept
            for the backward pass) or ``latency`` (median microseconds on ``device``).
        device: Where latency is measured: a device of torch, or ``onnxruntime`` (on the CPU);
            everything else needs no device.
        path: File of a stored table. It is used when unit, convention, input size and structure
            agree, and written otherwise.

    Raises:
        ValueError: Unknown convention or quantity, or a stored file that is no table.
    """
    check_convention(convention)
    unit = get_unit(quantity)
    network = Network.of(model, input_size)
    identity = dict(
        unit=unit.name,
        convention=how_counted(unit, convention, device),
        input_size=tuple(int(n) for n in input_size),
        backbone=network.structure(),
    )
    if path is not None and Path(path).is_file():
        try:
            table = ResourceTable.from_file(path)
        except ValueError as error:
            warnings.warn(f'{error}; it is counted again', stacklevel=2)
        else:
            if table.identity() == identity and tuple(network.heads) == table.tasks:
                return table
    costs = Counter(unit, identity['convention']).costs(network)
    table = ResourceTable(
        stem=costs.stem,
        layers=costs.layers,
        heads=costs.heads,
        layer_names=network.layer_names,
        params=Counter(UNITS['params'], '').costs(network),
        **identity,
    )
    if path is not None:
        table.to_file(path)
    return table


def table_from_cfg(cfg: Any, path: str | os.PathLike | None = None, **kwargs: Any) -> ResourceTable:
    """Table of a whole config: its model, tasks and ``input_size``.

    The config's optional ``resources = dict(convention=..., quantity=..., device=...)`` gives the
    defaults of ``kwargs``, the arguments of ``count_table``.
    """
    options = {**(cfg.get('resources') or {}), **kwargs}
    model = dict(cfg['model'], tasks=cfg['tasks'])
    return count_table(model, cfg['input_size'], path=path, **options)


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
        dict(madds, params, convention, input_size): integers, the strings and [H, W]; and what the
        encoder's ``costs`` add or replace.
    """
    if isinstance(model, Mapping):
        with torch.device('meta'):
            model = MODELS.build(without_weights(model))
    counted = count_run(model, input_size, convention, **routing)
    return {**counted, **model.encoder.costs(model.heads, input_size, convention)}


def count_run(
    model: nn.Module, input_size: Sequence[int], convention: str = 'mac', **routing: Any
) -> dict[str, Any]:
    """Cost of one run of a built network for all its tasks, see ``count_model``."""
    check_convention(convention)
    image = torch.empty(1, 3, *input_size, device='meta')
    with plain_evaluation(model):
        call = _MetaCall(model)
        madds = count_madds(call, image, convention=convention, mode='tensor', **routing)
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
        self._kept = {id(p) for p in model.encoder.arch_parameters()}

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        (model,) = self._model
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        shadow = {k: v if id(v) in self._kept else v.to('meta') for k, v in state.items()}
        return torch.func.functional_call(model, shadow, inputs, kwargs)
