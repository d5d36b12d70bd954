"""Operators as products of rows: which rows changed, and what is added to those that did not.

Both read every activation once more, which is what sharing by rows costs. With numba (extra
``sharing``) one compiled loop goes once through memory on a CPU; elsewhere torch's operators do
it one by one, with the same results.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.jit import have_numba, jit

SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
"""In the place of a threshold of 0: a row that did not change is reused, whatever the threshold."""
GROUP = 8
"""Columns of a factor that are handled at once, so that a row is read and written once."""


def in_rows(module: nn.Module) -> bool:
    """Whether each output row depends on one input row: linear, 1x1 and patch convolutions."""
    if isinstance(module, nn.Linear):
        return True
    return (
        module.kernel_size == module.stride
        and module.groups == 1
        and not any(module.padding)
        and module.dilation == (1, 1)
    )


def to_rows(module: nn.Module, x: Tensor) -> Tensor:
    """Input of an ``in_rows`` operator as (R, d_in)."""
    if isinstance(module, nn.Linear):
        return x.reshape(-1, x.shape[-1])
    if module.kernel_size == (1, 1):
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return F.unfold(x, module.kernel_size, stride=module.stride).transpose(1, 2).flatten(0, 1)


def matrix(module: nn.Module) -> Tensor:
    """Weight of an ``in_rows`` operator as (d_out, d_in)."""
    return module.weight if module.weight.dim() == 2 else module.weight.flatten(1)


def output_rows(module: nn.Module, y: Tensor) -> Tensor:
    """Output (N, ..., d_out) or (N, d_out, h, w) as rows (R, d_out)."""
    return (
        y.flatten(0, -2) if isinstance(module, nn.Linear) else y.permute(0, 2, 3, 1).flatten(0, 2)
    )


def from_rows(module: nn.Module, rows: Tensor, like: Tensor) -> Tensor:
    """Rows as an output of the shape of ``like``."""
    if isinstance(module, nn.Linear):
        return rows.view(like.shape)
    return rows.view(like.shape[0], *like.shape[2:], -1).permute(0, 3, 1, 2)


def row_change(module: nn.Module, difference: Tensor) -> Tensor:
    """Largest |entry| of each row of an input difference; (N, ...) without the channels.

    For a patch convolution the rows are its patches, for any other the pixels of its input.
    """
    size = difference.abs()
    if isinstance(module, nn.Linear):
        return size.amax(-1)
    size = size.amax(1)
    if in_rows(module) and module.kernel_size != (1, 1):
        return F.max_pool2d(size, module.kernel_size)
    return size


def keep_rows(module: nn.Module, changed: Tensor, x: Tensor, reference: Tensor) -> Tensor:
    """Input with the unchanged rows of the reference."""
    if isinstance(module, nn.Linear):
        return torch.where(changed[..., None], x, reference)
    if changed.shape[-2:] != x.shape[-2:]:
        for axis, step in zip((-2, -1), module.kernel_size):
            changed = changed.repeat_interleave(step, axis)
        changed = F.pad(
            changed, (0, x.shape[-1] - changed.shape[-1], 0, x.shape[-2] - changed.shape[-2])
        )
    return torch.where(changed[:, None], x, reference)


def row_shape(module: nn.Module, y: Tensor) -> tuple[int, ...]:
    """Shape of a mask of rows: that of an output without its channels."""
    return y.shape[:-1] if isinstance(module, nn.Linear) else (len(y), *y.shape[2:])


def changed_rows(rows: Tensor, old: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Positions of the rows with an entry that differs by ``threshold`` or more, and these rows.

    Args:
        rows, old: (R, d), now and in the reference.
        threshold: tau >= 0; with 0 every row that differs at all. NaN differs from everything.
    """
    # ten times as fast as the vector norm of torch
    same = (rows - old).abs_().amax(-1) < max(threshold, SMALLEST)
    index = (~same).nonzero().view(-1)
    return index, rows.index_select(0, index)


class LowRankProduct:
    """y += x A B + c for rows, also in one go with the search for changed rows.

    Args:
        a, b: Factors (r, d_in) and (r, d_out).
        bias: c (d_out,).
    """

    def __init__(self, a: Tensor, b: Tensor, bias: Tensor) -> None:
        self.a, self.b, self.bias = a.t(), b, bias
        self._arrays: list[np.ndarray] | None = None
        if have_numba() and a.device.type == 'cpu':
            # zeros up to a whole group
            more = (0, 0, 0, -len(a) % GROUP)
            whole = (F.pad(factor, more).contiguous() for factor in (a, b))
            self._arrays = [t.numpy() for t in (*whole, bias)]

    def __call__(self, y: Tensor, x: Tensor) -> None:
        """Add to rows y (R, d_out) what rows x (R, d_in) give."""
        y.addmm_(x @ self.a, self.b).add_(self.bias)

    def changed_rows(
        self, rows: Tensor, old: Tensor, threshold: float, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``changed_rows``; to y of the others is added what ``old`` gives, to theirs perhaps."""
        tensors = (rows, old, y)
        if self._arrays is None or not all(
            t.is_contiguous() and not t.requires_grad for t in tensors
        ):
            self(y, old)
            return changed_rows(rows, old, threshold)
        found, index = torch.empty_like(rows), torch.empty(len(rows), dtype=torch.long)
        arrays = [t.numpy() for t in (*tensors, found, index)]
        limit = arrays[0].dtype.type(max(threshold, SMALLEST))
        count = _add_to_unchanged(*arrays, *self._arrays, limit)
        return index[:count], found[:count]


@jit(fastmath={'reassoc', 'contract'})  # sums in any order; NaN and infinity as they are
def _add_to_unchanged(rows, old, y, found, index, a, b, bias, limit):
    count = 0
    for i in range(len(rows)):
        new, x, out = rows[i], old[i], y[i]
        far = 0
        for k in range(len(x)):
            far += not abs(new[k] - x[k]) < limit  # NaN is not below
        if far:
            found[count] = new
            index[count] = i
            count += 1
            continue
        for j in range(0, len(a), GROUP):
            p = q = r = s = t = u = v = w = x.dtype.type(0)
            for k in range(len(x)):
                p += a[j, k] * x[k]
                q += a[j + 1, k] * x[k]
                r += a[j + 2, k] * x[k]
                s += a[j + 3, k] * x[k]
            for k in range(len(x)):
                t += a[j + 4, k] * x[k]
                u += a[j + 5, k] * x[k]
                v += a[j + 6, k] * x[k]
                w += a[j + 7, k] * x[k]
            for o in range(len(out)):
                first = p * b[j, o] + q * b[j + 1, o] + r * b[j + 2, o] + s * b[j + 3, o]
                last = t * b[j + 4, o] + u * b[j + 5, o] + v * b[j + 6, o] + w * b[j + 7, o]
                # one pass for the first group and the bias
                out[o] += first + last + bias[o] if j == 0 else first + last
    return count
