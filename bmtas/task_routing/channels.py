"""Which channels of a network must carry one mask: found in its exported graph, not by family.

A convolution opens new units; norms, activations, pools and depth-wise convolutions keep those of
their input; sums and products unite the units of their operands, concatenations list them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import Tensor, fx, nn

from bmtas.task_routing.units import Site, Units, Value

# keep the channels and map 0 to 0
_KEEP = (
    *('relu', 'hardtanh', 'relu6', 'hardswish', 'silu', 'gelu', 'elu', 'leaky_relu', 'tanh'),
    *('dropout', 'feature_dropout', 'max_pool2d', 'avg_pool2d', 'adaptive_avg_pool2d'),
    *('adaptive_max_pool2d', 'upsample_bilinear2d', 'upsample_nearest2d', 'expand', 'contiguous'),
    *('clone', 'alias', 'detach', 'to', '_to_copy', 'pad', 'mean'),
)
# keep the channels, 0 becomes something else
_SHIFT = ('sigmoid', 'hardsigmoid', 'softmax')
_NORMS = ('batch_norm', 'group_norm', 'layer_norm')
_CONVS = ('conv1d', 'conv2d', 'conv3d', 'convolution')


class Tracer:
    """Follows channels through a module.

    Args:
        units: Where units are opened and united.
        free: Name of a module -> whether the channels that it opens may be masked.
        prefix: Set before the names of openings, so that modules traced apart do not collide.
    """

    def __init__(
        self, units: Units, free: Callable[[str], bool] = lambda name: True, prefix: str = ''
    ) -> None:
        self.units, self.free, self.prefix = units, free, prefix

    def trace(
        self, module: nn.Module, inputs: Sequence[Tensor], values: Sequence[Value]
    ) -> tuple[dict[str, Site], list[Value], list[torch.Size]]:
        """Sites of a module by name, and values and shapes of its outputs.

        Args:
            module: In evaluation mode; its outputs are a tensor or a flat sequence of tensors.
            inputs: Examples, only their shapes matter.
            values: Of the inputs.

        Raises:
            ValueError: An operator whose channels cannot be followed; the message names the module.
        """
        program = torch.export.export(module, tuple(inputs))
        signature = program.graph_signature
        self._weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self._given = iter(values)
        self._sites: dict[str, Site] = {}
        self._values: dict[fx.Node, Value | None] = {}
        for node in program.graph.nodes:
            if node.op == 'placeholder':
                weight = node.name in self._weights or node.name not in signature.user_inputs
                self._values[node] = None if weight else next(self._given)
            elif node.op == 'call_function':
                self._values[node] = self._call(node)
            elif node.op == 'output':
                found = node.args[0]
                shapes = [output.meta['val'].shape for output in found]
                return self._sites, [self._values[output] for output in found], shapes
        raise AssertionError('a graph without output')

    def _call(self, node: fx.Node) -> Value | None:
        if node.target is operator.getitem:  # some pools give the places of their maxima, too
            return self._values[node.args[0]] if node.args[1] == 0 else None
        name = _operator(node)
        operands = [self._values[n] for n in node.all_input_nodes]
        known = [value for value in operands if value is not None]
        if not known:
            return None
        if name in _CONVS:
            return self._conv(node, known[0])
        if name == 'linear':
            return self._linear(node, known[0])
        if name in _NORMS:
            return self._norm(node, name, known[0])
        if name in _KEEP or (name in _SHIFT and len(known) == 1):
            return self._each(node, name, known[0])
        if name in ('add', 'sub', 'mul', 'div') and len(known) == len(operands):
            return self._combine(node, name, known)
        if name == 'cat':
            return self._cat(node, known)
        if name in ('flatten', 'view', 'reshape', 'squeeze', 'unsqueeze', 'slice'):
            return self._reshape(node, known[0])
        if name in ('permute', 'transpose'):
            return self._permute(node, name, known[0])
        raise ValueError(f'{self._where(node)}: channels cannot be followed through {name!r}')

    def _where(self, node: fx.Node) -> str:
        stack = list((node.meta.get('nn_module_stack') or {}).values())
        return f'{self.prefix}{stack[-1][0] if stack else node.name}'

    def _name(self, node: fx.Node) -> str:
        """Name of the module whose weights an operator uses."""
        for argument in node.all_input_nodes:
            if argument.name in self._weights:
                return self._weights[argument.name].rpartition('.')[0]
        return self._where(node)[len(self.prefix) :]

    def _add(self, site: Site) -> None:
        old = self._sites.get(site.name)
        if old is not None:  # a module that is called twice
            self.units.unite(old.inputs, site.inputs)
            self.units.unite(old.outputs, site.outputs)
            site = replace(site, exact=site.exact and old.exact)
        self._sites[site.name] = site

    def _conv(self, node: fx.Node, x: Value) -> Value:
        name, weight = self._name(node), node.args[1].meta['val'].shape
        groups = len(x.units) // weight[1]
        outputs = x.units
        if groups == 1:
            outputs = self._open(name, weight[0])
        elif weight[0] != len(x.units):
            raise ValueError(
                f'{self.prefix}{name}: a convolution of {groups} groups from {len(x.units)} to '
                f'{weight[0]} channels cannot be routed; leave it out with first_layer'
            )
        norm = self._norm_behind(node)
        # a kept border or bias of a grouped convolution is masked behind it
        self._add(Site(name, 'conv', x.units, outputs, groups, 1, norm, x.zero or groups > 1))
        return Value(outputs, 1)

    def _linear(self, node: fx.Node, x: Value) -> Value:
        name, weight = self._name(node), node.args[1].meta['val'].shape
        last = node.meta['val'].dim() - 1
        if x.dim != last:
            raise ValueError(f'{self.prefix}{name}: a linear layer that does not mix channels')
        outputs = self._open(name, weight[0])
        self._add(Site(name, 'linear', x.units, outputs, 1, last, self._norm_behind(node), x.zero))
        return Value(outputs, last)

    def _open(self, name: str, count: int) -> np.ndarray:
        if name in self._sites:
            return self._sites[name].outputs
        return self.units.open(self.prefix + name, count, self.free(name))

    def _norm_behind(self, node: fx.Node) -> str:
        users = list(node.users)
        alone = len(users) == 1 and users[0].op == 'call_function'
        if alone and _operator(users[0]) in _NORMS:
            return self._name(users[0])
        return ''

    def _norm(self, node: fx.Node, op: str, x: Value) -> Value:
        groups = node.args[1] if op == 'group_norm' else 1
        self._add(Site(self._name(node), op, x.units, x.units, groups, x.dim))
        return replace(x, zero=True)

    def _each(self, node: fx.Node, op: str, x: Value) -> Value:
        """An operator that works on every channel by itself."""
        output = node.meta['val']
        shape = (output[0] if isinstance(output, tuple) else output).shape
        rank, axes = node.args[0].meta['val'].dim(), ()
        if op in ('mean', 'softmax'):
            given = node.args[1] if len(node.args) > 1 else None
            axes = [given] if isinstance(given, int) else given or range(rank)
        mixes = x.dim in [axis % rank for axis in axes]
        if mixes or shape[x.dim : x.dim + 1] != (len(x.units),):
            raise ValueError(f'{self._where(node)}: channels are mixed by {op!r}')
        border = op == 'pad' and any(node.args[3:])
        return replace(x, zero=x.zero and op in _KEEP and not border)

    def _combine(self, node: fx.Node, op: str, known: list[Value]) -> Value:
        first, product = known[0], op in ('mul', 'div')
        if len(known) == 1:  # with a number
            return replace(first, zero=first.zero and product)
        second = known[1]
        if len(first.units) == len(second.units):
            self.units.unite(first.units, second.units)
        elif 1 not in (len(first.units), len(second.units)):
            raise ValueError(f'{self._where(node)}: {op} of different channels')
        zero = first.zero or second.zero if product else first.zero and second.zero
        wide = first if len(first.units) >= len(second.units) else second
        return replace(wide, zero=zero)

    def _cat(self, node: fx.Node, known: list[Value]) -> Value:
        dim = (node.args[1] if len(node.args) > 1 else 0) % node.meta['val'].dim()
        zero = all(value.zero for value in known)
        if dim == known[0].dim:
            return Value(np.concatenate([value.units for value in known]), dim, zero)
        for other in known[1:]:
            self.units.unite(known[0].units, other.units)
        return replace(known[0], zero=zero)

    def _reshape(self, node: fx.Node, x: Value) -> Value:
        before, after = node.args[0].meta['val'].shape, node.meta['val'].shape
        if x.dim == 1 and len(after) >= 2 and after[0] == before[0]:
            if after[1] == before[1]:
                return x
            if len(after) == 2:
                return replace(x, units=np.repeat(x.units, prod(before[2:])))
        raise ValueError(
            f'{self._where(node)}: channels cannot be followed from shape {tuple(before)} to '
            f'{tuple(after)}'
        )

    def _permute(self, node: fx.Node, op: str, x: Value) -> Value:
        rank = node.meta['val'].dim()
        if op == 'permute':
            order = [axis % rank for axis in node.args[1]]
        else:
            order, (a, b) = list(range(rank)), (axis % rank for axis in node.args[1:3])
            order[a], order[b] = order[b], order[a]
        return replace(x, dim=order.index(x.dim))


def _operator(node: fx.Node) -> str:
    """Name of what a node calls, without the mark of work in place."""
    schema = getattr(node.target, '_schema', None)
    return str(node.target) if schema is None else schema.name.split('::')[-1].rstrip('_')
