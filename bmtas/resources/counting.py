"""Cost of a module: multiply-adds in two conventions, parameters, memory of the backward pass.

Everything runs on the meta device: shapes are propagated, nothing is computed and nothing is
allocated, so a network of 600 GMAdds is counted in a second. The counter is torch's own
``FlopCounterMode``; a convention is a table of formulas by operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten


def _conv_additions_too(
    x: list[int], w: list[int], bias: Any, *args: Any, out_shape: list[int], **_: Any
) -> int:
    """K multiplications, K - 1 additions and one for the bias, for each output element."""
    transposed = args[3]
    taps, outputs = prod(w[1:]), prod(out_shape)
    if transposed:
        return prod(x) * 2 * taps - (bias is None) * outputs
    return outputs * (2 * taps - (bias is None))


def _addmm_additions_too(
    bias: Any, a: list[int], b: list[int], *_: Any, out_shape: list[int], **__: Any
) -> int:
    return prod(out_shape) * 2 * a[-1]


def _mm_additions_too(a: list[int], b: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
    return prod(out_shape) * (2 * a[-1] - 1)


def _max_pool(x: list[int], kernel: list[int], *_: Any, out_shape: Any, **__: Any) -> int:
    return prod(kernel) * prod(out_shape[0])


def _avg_pool(x: list[int], kernel: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
    return prod(kernel) * prod(out_shape)


def _global_pool(x: list[int], *_: Any, out_shape: list[int], **__: Any) -> int:
    return prod(x)


def _nothing(*_: Any, out_shape: Any, **__: Any) -> int:
    return 0


def _attention(q: list[int], k: list[int], v: list[int], *_: Any, out_shape: Any, **__: Any) -> int:
    """Two matrix products for each head: q k^T and the weights times v; (N, heads, n, d)."""
    return 2 * prod(q[:-1]) * k[-2] * (q[-1] + v[-1])


# the kernels of scaled dot products; which one runs depends on device and layout
_ATTENTION = [
    getattr(aten, name)
    for name in (
        '_scaled_dot_product_flash_attention',
        '_scaled_dot_product_flash_attention_for_cpu',
        '_scaled_dot_product_efficient_attention',
        '_scaled_dot_product_cudnn_attention',
    )
]

_PAPER: Mapping[Any, Callable[..., int]] = {
    aten.convolution: _conv_additions_too,
    aten.addmm: _addmm_additions_too,
    aten.mm: _mm_additions_too,
    # batched products are functional calls, which a counter by module hooks does not see
    aten.bmm: _nothing,
    aten.baddbmm: _nothing,
    **dict.fromkeys(_ATTENTION, _nothing),
    aten.max_pool2d_with_indices: _max_pool,
    aten.avg_pool2d: _avg_pool,
    aten._adaptive_avg_pool2d: _global_pool,
    aten.mean: _global_pool,
}

CONVENTIONS: Mapping[str, Mapping[Any, Callable[..., int]]] = {
    # multiply-accumulates of convolutions, linear layers and matrix products
    'mac': dict.fromkeys(_ATTENTION, _attention),
    # the counter behind the published tables: half of all multiplications and additions,
    # so that K - 1/2 is booked where there is no bias; pooling is counted
    'paper': _PAPER,
}
"""Formulas by operator that replace torch's; each counts two units for one multiply-add."""


def check_convention(convention: str) -> None:
    """Raise ValueError for an unknown counting convention."""
    if convention not in CONVENTIONS:
        raise ValueError(
            f'resources: unknown convention {convention!r}, choose from {sorted(CONVENTIONS)}'
        )


# modules that keep the shape and cost nothing in either convention
_FREE = (
    nn.modules.batchnorm._BatchNorm,
    nn.ReLU,
    nn.Hardtanh,
    nn.Hardswish,
    nn.SiLU,
    nn.GELU,
    nn.Sigmoid,
)


@contextmanager
def free_modules_skipped(module: nn.Module):
    """Let batch norms and activations pass their input on; it halves the time of counting."""
    free = [m for m in module.modules() if isinstance(m, _FREE)]
    for m in free:
        m.forward = lambda x: x
    try:
        yield
    finally:
        for m in free:
            del m.forward


@contextmanager
def evaluation_mode(module: nn.Module):
    """Switch a module to evaluation and back, each submodule to the mode it had."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode


def count_madds(module: nn.Module, *inputs: Any, convention: str = 'mac', **kwargs: Any) -> int:
    """Multiply-adds of one call ``module(*inputs, **kwargs)`` in evaluation mode.

    Args:
        module: On the meta device for speed, on any device otherwise.
        inputs: What the module is called with, tensors on the module's device.
        convention: ``mac`` or ``paper``, see ``CONVENTIONS``.

    Returns:
        Multiply-adds of the whole call (batch included); a half is rounded up.
    """
    check_convention(convention)
    counter = FlopCounterMode(display=False, custom_mapping=dict(CONVENTIONS[convention]))
    with evaluation_mode(module), free_modules_skipped(module), torch.no_grad(), counter:
        module(*inputs, **kwargs)
    return (int(counter.get_total_flops()) + 1) // 2


def count_params(module: nn.Module) -> int:
    """Trainable parameters, each counted once however often the module uses it."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_saved_bytes(module: nn.Module, *inputs: Any) -> int:
    """Bytes that one image's forward pass keeps for the backward pass (training mode).

    What autograd saves is summed, each tensor once, without parameters. The output is counted,
    since the next part keeps it, and the input is not: it belongs to the part before.
    Two images are run, since batch statistics of a 1x1 map need more than one value.
    """
    batch = [x.detach().expand(2, *x.shape[1:]).clone() for x in inputs]
    known = {id(p) for p in module.parameters()} | {id(b) for b in module.buffers()}
    # tensors are held until the end: an id is unique only among living objects
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in known:
            saved.setdefault(id(base), base)
        return tensor

    module.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = module(*batch)
    for tensor in output if isinstance(output, tuple) else (output,):
        saved.setdefault(id(tensor), tensor)
    known_inputs = {id(x) for x in batch}
    return sum(t.nbytes for key, t in saved.items() if key not in known_inputs) // 2
