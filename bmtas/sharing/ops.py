"""Linear operators of a layer, intercepted: what a task's operator reuses of a reference's.

A *reference* of an operator is a pair (x_0, y_0) of an input and its output: the base network's at
the same image, or the network's own at an earlier frame. With T_tau(v) = v where |v| >= tau,

    x~ = x_0 + T_tau(x - x_0),   y = W x~ + c

which is y_0 + W_0 T_tau(x - x_0) + dW x~ + dc, in one product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmtas.sharing.rows import (
    LowRankProduct,
    changed_rows,
    from_rows,
    in_rows,
    keep_rows,
    matrix,
    output_rows,
    row_change,
    row_shape,
    to_rows,
)

Reference = tuple[Tensor, Tensor]
"""Input and output of an operator."""
Handle = Callable[[str, nn.Module, Tensor], Tensor]
"""Called as ``handle(name, operator, x)`` in the place of ``operator(x)``."""


def operators(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Linear layers and convolutions by name, in order; the module itself has the name ''."""
    return [(n, m) for n, m in module.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]


@contextmanager
def intercepted(points: list[tuple[str, nn.Module]], handle: Handle) -> Iterator[None]:
    """Call ``handle`` where these modules would be called."""
    for name, module in points:
        module.forward = partial(handle, name, module)
    try:
        yield
    finally:
        for _, module in points:
            del module.forward


def plain(module: nn.Module, x: Tensor) -> Tensor:
    """What the module computes when nobody intercepts it."""
    return type(module).forward(module, x)


@dataclass
class OpCount:
    """Work of one operator of one task: differences and multiply-adds, summed over images.

    Args:
        elements, nonzero: Entries of the input difference, and those not thresholded away.
        rows, changed: The same of its rows.
        dense, effective, executed: Multiply-adds: of a separate network; of an ideal machine that
            skips every zero, nnz(dx) d_out + nnz(dW) rows; of this program.
    """

    elements: int = 0
    nonzero: int = 0
    rows: int = 0
    changed: int = 0
    dense: int = 0
    effective: int = 0
    executed: int = 0

    def add(self, other: OpCount) -> None:
        """Add another count to this one."""
        for key, value in vars(other).items():
            setattr(self, key, getattr(self, key) + value)


@dataclass
class SharedOp:
    """How one operator of one network reuses a reference.

    Args:
        threshold: tau >= 0, or a function of the difference's size that gives it.
        on: 'input', or 'output': the difference of outputs is thresholded and nothing is skipped.
        rows: Keep or drop whole rows, and compute the changed ones only.
        product: For rows, ``product(y, x)`` adds dW x + dc to y; None where there is no delta.
        delta_cost: Multiply-adds of ``product`` for each row; values of dW.
        same_weights: Whether the reference is of this very network, dW = 0.
        spent: Whether nobody else reads the reference, so that y may take the place of y_0.
        keep: Whether x~ is asked for.
        count: Where work is counted, or None.
    """

    threshold: float | Callable[[Tensor], float]
    on: str = 'input'
    rows: bool = False
    product: Callable[[Tensor, Tensor], None] | None = None
    delta_cost: int = 0
    same_weights: bool = False
    spent: bool = False
    keep: bool = True
    count: OpCount | None = None

    def __call__(self, module: nn.Module, x: Tensor, reference: Reference) -> Reference:
        """x~ and y for the input x; x itself in the place of x~ where nobody looks at it."""
        if self.on == 'output':
            return self._by_output(module, x, reference)
        if self.rows and in_rows(module):
            return self._by_rows(module, x, reference)
        size = row_change(module, x - reference[0]) if self.rows else (x - reference[0]).abs()
        kept = self._kept(size)
        if self.rows:
            used = keep_rows(module, kept, x, reference[0])
        else:
            used = torch.where(kept, x, reference[0])
        if self.same_weights and not kept.any():
            y, executed = reference[1], 0
        else:
            y, executed = plain(module, used), None
        self._record(module, used, reference[0], y, executed)
        return used, y

    def _tau(self, size: Callable[[], Tensor]) -> float:
        return self.threshold(size()) if callable(self.threshold) else self.threshold

    def _kept(self, size: Tensor) -> Tensor:
        tau = self._tau(lambda: size)
        # an entry that did not change is none of the difference, whatever the threshold
        return size >= tau if tau > 0 else size > 0

    def _by_rows(self, module: nn.Module, x: Tensor, reference: Reference) -> Reference:
        old, y = to_rows(module, reference[0]), output_rows(module, reference[1])
        rows = old if x is reference[0] else to_rows(module, x)
        index, values, y = self._changed(rows, old, y if self.spent else y.clone())
        executed = len(index) * module.weight.numel() + len(rows) * self.delta_cost
        if len(index) == len(rows):
            y, executed = plain(module, x), None
        else:
            if len(index):
                y.index_copy_(0, index, F.linear(values, matrix(module), module.bias))
            y = from_rows(module, y, reference[1])
        used = x
        if self.keep or self.count is not None:
            kept = torch.zeros(len(rows), dtype=torch.bool, device=x.device)
            kept = kept.index_fill_(0, index, True).view(row_shape(module, reference[1]))
            used = keep_rows(module, kept, x, reference[0])
        self._record(module, used, reference[0], y, executed)
        return used, y

    def _changed(self, rows: Tensor, old: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Positions of changed rows, these rows, and y_0 + dW x_0 + dc at the places of others."""
        tau = self._tau(lambda: (rows - old).abs_().amax(-1))
        if isinstance(self.product, LowRankProduct):
            return *self.product.changed_rows(rows, old, tau, y), y
        if self.product is not None:
            self.product(y, old)
        return *changed_rows(rows, old, tau), y

    def _by_output(self, module: nn.Module, x: Tensor, reference: Reference) -> Reference:
        y = plain(module, x)
        size = (y - reference[1]).abs()
        y = torch.where(self._kept(size), y, reference[1])
        self._record(module, x, reference[0], y, None)
        return x, y

    def _record(
        self, module: nn.Module, used: Tensor, old: Tensor, y: Tensor, executed: int | None
    ) -> None:
        if self.count is None:
            return
        nonzero = used != old
        rows = row_change(module, nonzero.to(used.dtype)) > 0
        places = y.numel() // module.weight.shape[0]
        dense = places * module.weight[0].numel() * module.weight.shape[0]
        self.count.add(
            OpCount(
                elements=used.numel(),
                nonzero=int(nonzero.sum()),
                rows=rows.numel(),
                changed=int(rows.sum()),
                dense=dense,
                effective=products_of(module, nonzero) + places * self.delta_cost,
                executed=dense if executed is None else executed,
            )
        )


def products_of(module: nn.Module, nonzero: Tensor) -> int:
    """Multiply-adds of an operator that skips the zeros of its input."""
    if isinstance(module, nn.Linear):
        return int(nonzero.sum()) * module.weight.shape[0]
    groups = module.groups
    mask = nonzero.to(module.weight.dtype).unflatten(1, (groups, -1)).sum(2)
    ones = module.weight.new_ones(groups, 1, *module.kernel_size)
    taps = F.conv2d(mask, ones, None, module.stride, module.padding, module.dilation, groups)
    return round(float(taps.double().sum())) * (module.weight.shape[0] // groups)
