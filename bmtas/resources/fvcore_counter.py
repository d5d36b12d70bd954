"""Multiply-adds of a module by fvcore, for the tables that feed the resource loss.

fvcore traces a module with real tensors and hands every operator to a handle; a convention is a
table of handles. Tracing computes what it counts (some 10 s for a ResNet-50 at 512x512), which
is why tables are stored; ``bmtas.resources.counting`` gives the same integers from shapes alone.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

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


def _global_pool(inputs: list[Any], outputs: list[Any]) -> int:
    return prod(fv.get_shape(inputs[0]))


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    q, k, v = (fv.get_shape(x) for x in inputs[:3])
    return 2 * prod(q[:-1]) * k[-2] * (q[-1] + v[-1])


HANDLES: Mapping[str, Mapping[str, Handle]] = {
    'mac': {
        'aten::_convolution': _doubled(fv.conv_flop_jit),
        'aten::addmm': _doubled(fv.addmm_flop_jit),
        'aten::linear': _doubled(fv.linear_flop_jit),
        'aten::mm': _doubled(fv.matmul_flop_jit),
        'aten::matmul': _doubled(fv.matmul_flop_jit),
        'aten::bmm': _doubled(fv.bmm_flop_jit),
        'aten::scaled_dot_product_attention': _attention,
    },
    'paper': {
        'aten::_convolution': _conv,
        'aten::linear': _linear,
        'aten::max_pool2d': _windowed_pool,
        'aten::avg_pool2d': _windowed_pool,
        'aten::adaptive_avg_pool2d': _global_pool,
        'aten::mean': _global_pool,
    },
}
"""Handles by convention and operator, in half multiply-adds; all other operators are free."""


def _with_zeros(module: nn.Module) -> nn.Module:
    """A copy on the CPU whose weights are zeros: what is computed does not matter."""
    module = copy.deepcopy(module).to_empty(device='cpu').eval()
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
    return module


def count_madds_by_fvcore(module: nn.Module, *inputs: Tensor, convention: str = 'mac') -> int:
    """Multiply-adds of one call ``module(*inputs)`` in evaluation mode.

    Args:
        module: On any device, the meta device included; it is left alone.
        inputs: Tensors; only their shapes matter.
        convention: ``mac`` or ``paper``.

    Returns:
        Multiply-adds of the whole call (batch included); a half is rounded up.
    """
    images = tuple(torch.zeros(x.shape, dtype=x.dtype) for x in inputs)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        analysis = FlopCountAnalysis(_with_zeros(module), images).clear_op_handles()
        analysis.set_op_handle(**HANDLES[convention])
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.tracer_warnings('none')
        return (int(analysis.total()) + 1) // 2
