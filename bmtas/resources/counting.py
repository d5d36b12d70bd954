"""Cost of a module: multiply-adds in two conventions, parameters, memory of the backward pass.

``count_madds`` is the one that counts. On the meta device shapes are propagated, nothing is
computed and nothing is allocated, so that a network of 600 GMAdds is counted in a second by torch's
``FlopCounterMode``. Real tensors are run and traced by fvcore (``fvcore_counter``), as for the
tables that feed the resource loss. Both give the same integers; a convention is a table of formulas
by operator.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from bmtas.resources.fvcore_counter import half_madds_by_fvcore

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
def plain_evaluation(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients and without what costs time but counts nothing.

    Batch norms and activations pass their input on; attention takes the path of training, since its
    fast one is a single operator that no counter knows. Everything is as before afterwards.
    """
    free = [m for m in module.modules() if isinstance(m, _FREE)]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    for m in free:
        m.forward = lambda x: x
    try:
        with evaluation_mode(module), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for m in free:
            del m.forward


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Switch a module to evaluation and back, each submodule to the mode it had."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode


@contextmanager
def _whole_linear() -> Iterator[None]:
    """Linear layers stay one operator: torch cuts those of strided inputs into product and sum.

    The name is replaced and not the operator overridden, which attention modules would hide.
    """
    linear = F.linear
    F.linear = lambda x, weight, bias=None: linear(x.contiguous(), weight, bias)
    try:
        yield
    finally:
        F.linear = linear


def count_madds(module: nn.Module, *inputs: Any, convention: str = 'mac', **kwargs: Any) -> int:
    """Multiply-adds of one call ``module(*inputs, **kwargs)`` in evaluation mode.

    Args:
        module: On the meta device to count from shapes; on a CPU it is run once.
        inputs, kwargs: What the module is called with, tensors on the module's device.
        convention: ``mac`` or ``paper``, see ``CONVENTIONS``.

    Returns:
        Multiply-adds of the whole call (batch included); a half is rounded up.
    """
    check_convention(convention)
    with plain_evaluation(module):
        if all(x.is_meta for x in tree_leaves(inputs) if isinstance(x, Tensor)):
            counter = FlopCounterMode(display=False, custom_mapping=dict(CONVENTIONS[convention]))
            with counter, _whole_linear():
                module(*inputs, **kwargs)
            units = int(counter.get_total_flops())
        else:
            units = half_madds_by_fvcore(module, inputs, kwargs, convention)
    return (units + 1) // 2


def usable_device(name: str | torch.device) -> torch.device:
    """A device of torch that this machine has.

    Raises:
        ValueError: It has none of that name.
    """
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA raises the latter
        reason = ' '.join(str(error).split())[:160]
        raise ValueError(f'device {str(name)!r} cannot be used: {reason}') from None


def materialised(
    module: nn.Module, inputs: tuple[Any, ...], device: str = 'cpu'
) -> tuple[nn.Module, ...]:
    """A module from the meta device and its inputs as zeros on a real one: (module, *inputs)."""
    real = copy.deepcopy(module).to_empty(device=usable_device(device))
    with torch.no_grad():
        for tensor in (*real.parameters(), *real.buffers()):
            tensor.zero_()
    # dilated depth-wise convolutions on a CPU are many times slower in the other layout
    real = real.to(memory_format=torch.channels_last)
    return real, *tree_map_only(Tensor, lambda x: _zeros(x, device), inputs)


def _zeros(x: Tensor, device: str) -> Tensor:
    layout = torch.channels_last if x.dim() == 4 else torch.contiguous_format
    return torch.zeros(x.shape, dtype=x.dtype, device=device).contiguous(memory_format=layout)


def count_params(module: nn.Module) -> int:
    """Trainable parameters, each counted once however often the module uses it."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_saved_bytes(module: nn.Module, *inputs: Any) -> int:
    """Bytes that one image's forward pass keeps for the backward pass (training mode).

    What autograd saves is summed, each tensor once, without parameters. The output is counted,
    since the next part keeps it, and the input is not: it belongs to the part before.
    Two images are run, since batch statistics of a 1x1 map need more than one value.
    """
    batch = tree_map_only(Tensor, lambda x: x.detach().expand(2, *x.shape[1:]).clone(), inputs)
    module = copy.deepcopy(module).train()
    known = {id(p) for p in module.parameters()} | {id(b) for b in module.buffers()}
    # tensors are held until the end: an id is unique only among living objects
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in known:
            saved.setdefault(id(base), base)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = module(*batch)
    for tensor in tree_leaves(output):
        saved.setdefault(id(tensor), tensor)
    known_inputs = {id(x) for x in tree_leaves(batch)}
    return sum(t.nbytes for key, t in saved.items() if key not in known_inputs) // 2
