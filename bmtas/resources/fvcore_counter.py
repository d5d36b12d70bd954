"""Multiply-adds of a module by fvcore, for the tables that feed the resource loss.

fvcore traces a module with real tensors and hands every operator to a handle; a convention is a
table of handles. Tracing computes what it counts, which is why tables are stored;
``bmtas.resources.counting`` gives the same integers from shapes alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

with warnings.catch_warnings():
    # fvcore is built on torch.jit, which announces its end at every import
    warnings.simplefilter('ignore', FutureWarning)
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn import jit_handles as fv

Handle = Callable[[list[Any], list[Any]], int]


def _doubled(handle: Callable) -> Handle:
    """A multiply-accumulate of fvcore is two units: a multiplication and an addition."""
    return lambda inputs, outputs: 2 * int(sum_of(handle(inputs, outputs)))


def sum_of(count: Any) -> float:
    """fvcore's handles return a number or a Counter."""
    return sum(count.values()) if isinstance(count, Mapping) else count


def _integers(value: Any) -> list[int]:
    """A list of integers in the trace: one constant, or a list built of constants."""
    found = value.toIValue()
    return [v.toIValue() for v in value.node().inputs()] if found is None else list(found)


def _conv(inputs: list[Any], outputs: list[Any]) -> int:
    """2K - 1 units for each output element, K taps; one more with a bias."""
    weight, out = fv.get_shape(inputs[1]), fv.get_shape(outputs[0])
    biased = fv.get_shape(inputs[2]) is not None
    if inputs[6].toIValue():
        # transposed: each input element is spread over all taps
        units = 2 * prod(fv.get_shape(inputs[0])) * prod(weight[1:])
        return units - (not biased) * prod(out)
    return prod(out) * (2 * prod(weight[1:]) - (not biased))


def _linear(inputs: list[Any], outputs: list[Any]) -> int:
    biased = len(inputs) > 2 and fv.get_shape(inputs[2]) is not None
    return prod(fv.get_shape(outputs[0])) * (2 * fv.get_shape(inputs[0])[-1] - (not biased))


def _windowed_pool(inputs: list[Any], outputs: list[Any]) -> int:
    return prod(_integers(inputs[1])) * prod(fv.get_shape(outputs[0]))


def _product(inputs: list[Any], outputs: list[Any]) -> int:
    """A product with a matrix is a linear layer; batched products belong to no module."""
    matrix = fv.get_shape(inputs[1])
    return prod(fv.get_shape(outputs[0])) * (2 * matrix[0] - 1) if len(matrix) == 2 else 0


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Products of queries (..., N, D) with keys (..., M, D), and with values (..., M, E)."""
    query, key, value = (fv.get_shape(x) for x in inputs[:3])
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _global_pool(inputs: list[Any], outputs: list[Any]) -> int:
    return prod(fv.get_shape(inputs[0]))


HANDLES: Mapping[str, Mapping[str, Handle]] = {
    'mac': {
        'aten::_convolution': _doubled(fv.conv_flop_jit),
        'aten::addmm': _doubled(fv.addmm_flop_jit),
        'aten::linear': _doubled(fv.linear_flop_jit),
        'aten::mm': _doubled(fv.matmul_flop_jit),
        'aten::matmul': _doubled(fv.matmul_flop_jit),
        'aten::bmm': _doubled(fv.bmm_flop_jit),
        'aten::einsum': _doubled(fv.einsum_flop_jit),
        'aten::scaled_dot_product_attention': _attention,
    },
    'paper': {
        'aten::_convolution': _conv,
        'aten::linear': _linear,
        'aten::matmul': _product,
        'aten::mm': _product,
        'aten::max_pool2d': _windowed_pool,
        'aten::avg_pool2d': _windowed_pool,
        'aten::adaptive_avg_pool2d': _global_pool,
        'aten::mean': _global_pool,
    },
}
"""Handles by convention and operator, in half multiply-adds; all other operators are free."""


class _Flat(nn.Module):
    """A module called with a flat list of tensors, which is all that can be traced."""

    def __init__(self, module: nn.Module, spec: TreeSpec) -> None:
        super().__init__()
        self.module, self.spec = module, spec

    def forward(self, *leaves: Any) -> tuple[Tensor, ...]:
        args, kwargs = tree_unflatten(leaves, self.spec)
        return tuple(tree_leaves(self.module(*args, **kwargs)))


def half_madds_by_fvcore(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], convention: str
) -> int:
    """Half multiply-adds of one call ``module(*args, **kwargs)``, which is run."""
    leaves, spec = tree_flatten((args, dict(kwargs)))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        analysis = FlopCountAnalysis(_Flat(module, spec), tuple(leaves)).clear_op_handles()
        analysis.set_op_handle(**HANDLES[convention])
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings('none')
        return int(analysis.total())
