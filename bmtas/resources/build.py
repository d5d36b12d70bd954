"""From a config to its resource table, and the cost of whole networks."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.registry import MODELS
from bmtas.resources.counting import check_convention, count_madds, count_params, plain_evaluation
from bmtas.resources.parts import STEM, Call, Part, record_calls
from bmtas.resources.table import Costs, ResourceTable
from bmtas.resources.units import UNITS, Unit, get_unit

WEIGHT_KEYS = ('weights', 'init_from', 'init_cfg')


def without_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of a model's config whose encoder names no file of weights: costs need none."""
    copy = {k: None if k == 'init_cfg' else v for k, v in model.items()}
    return {**copy, 'encoder': _stripped(copy['encoder'])} if 'encoder' in copy else copy


def _stripped(cfg: Any) -> Any:
    if isinstance(cfg, Mapping):
        return {k: None if k in WEIGHT_KEYS else _stripped(v) for k, v in cfg.items()}
    return cfg


def shared_network(model: Mapping[str, Any]) -> dict[str, Any]:
    """Config of the network itself, or of the shared one where the tree is open."""
    if is_open(model):
        encoder = MODELS.get(model['encoder']['type']).config_of_tree(model['encoder'], 'shared')
        return dict(model, encoder=encoder)
    return dict(model)


def is_open(model: Mapping[str, Any]) -> bool:
    """Whether a model's config leaves the tree open: a supergraph, or no routes yet."""
    encoder = model['encoder']
    return MODELS.get(encoder['type']).takes_tree and encoder.get('routes') is None


def build_shapes(model: Mapping[str, Any]) -> nn.Module:
    """The network of a model's config on the meta device; the shared one where a tree is open."""
    with torch.device('meta'):
        built = MODELS.build(without_weights(shared_network(model)))
    return built.to('meta')  # buffers that are made of numpy arrays, too


def layer_names(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the layers that the tasks of a model's config may share; nothing is counted."""
    return build_shapes(model).encoder.layer_names


@dataclass(frozen=True)
class Network:
    """A network on the meta device and the calls of its parts for one image.

    Args:
        model: The ``MultiTaskModel``.
        image: (1, 3, H, W).
        encoder: Calls of the encoder's parts.
        heads: Calls of the heads by task.
    """

    model: nn.Module
    image: Tensor
    encoder: tuple[Call, ...]
    heads: Mapping[str, Call]

    @classmethod
    def of(cls, model: Mapping[str, Any], input_size: Sequence[int]) -> Network:
        """Build a model's config (with its tasks) without weights and run it on shapes."""
        built = build_shapes(model)
        heads = [Part(name, head, None, (name,)) for name, head in built.heads.items()]
        parts = built.encoder.parts()
        image = torch.empty(1, 3, *input_size, device='meta')
        with plain_evaluation(built):
            calls = record_calls([*parts, *heads], lambda: built(image, mode='tensor'))
        known = {id(part) for part in parts}
        encoder = tuple(call for call in calls if id(call.part) in known)
        by_task = {c.part.name: c for c in calls if id(c.part) not in known}
        return cls(built, image, encoder, {name: by_task[name] for name in built.heads})

    @property
    def layer_names(self) -> tuple[str, ...]:
        return self.model.encoder.layer_names

    def one_of(self, layer: int) -> Call | None:
        """The first part that runs in this layer."""
        return next((call for call in self.encoder if call.part.layer == layer), None)

    def structure(self) -> str:
        """Hash of what stem, layers and heads consist of."""
        places = [STEM, *range(len(self.layer_names))]
        calls = [self.one_of(layer) for layer in places]
        text = [call.structure if call else '' for call in calls]
        text += [f'{name}: {call.structure}' for name, call in self.heads.items()]
        return hashlib.sha256('\n'.join(text).encode()).hexdigest()[:16]


class WholeNetwork(nn.Module):
    """A multi-task network as a function of images alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> logits of all tasks."""
        return tuple(self.model(images, mode='tensor').values())


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
