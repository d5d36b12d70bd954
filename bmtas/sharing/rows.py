"""Rows that changed, and what is added to those that did not.

Both read every activation once more, which is what sharing by rows costs. With numba (extra
``sharing``) one compiled loop goes once through memory on a CPU; elsewhere torch's operators do
it one by one, with the same results.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bmtas.jit import have_numba, jit

SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
"""In the place of a threshold of 0: a row that did not change is reused, whatever the threshold."""
GROUP = 8
"""Columns of a factor that are handled at once, so that a row is read and written once."""


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
            whole = (torch.nn.functional.pad(factor, more).contiguous() for factor in (a, b))
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
