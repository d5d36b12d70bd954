"""Search spaces: which codes there are, how to draw, round, change and cost them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmtas.typed import Positive

from .codes import LENGTH, POSITIONS, NetworkCode
from .cost import CostModel
from .grid import grid_values, resolve_positions


@dataclass(frozen=True)
class Budget:
    """Hard limits of a search.

    Args:
        madds: Most multiply-adds, in G; None for no limit.
        params: Most parameters, in M; None for no limit.
    """

    madds: Positive | None = None
    params: Positive | None = None

    def holds(self, madds: Any, params: Any) -> np.ndarray:
        """Which costs (...), in G and M, keep the limits."""
        fits = np.ones(np.shape(madds), dtype=bool)
        for cost, limit in ((madds, self.madds), (params, self.params)):
            if limit is not None:
                fits &= np.asarray(cost) <= limit
        return fits

    def __str__(self) -> str:
        limits = [f'{self.madds:g} GMAdds'] if self.madds is not None else []
        limits += [f'{self.params:g} M parameters'] if self.params is not None else []
        return 'budget of ' + (' and '.join(limits) or 'nothing')


class MultiResolutionSpace:
    """Codes of multi-resolution networks within bounds.

    Args:
        grid: Values that rounding, drawing and neighbours use, a key of ``GRIDS``.
        bounds: (lowest, highest) by position pattern, narrower than the grid; e.g. ``{'stem':
            (8, 32)}``. The grids but ``full`` keep the stem within the recorded 64.
        freeze: Position patterns that never change.
        cost: What a code costs.

    Attributes:
        names: Names of the positions.
        values: Allowed values of each position, ascending.
        lower, upper: (27,) float64 bounds.
        spread: (27,) deviation of each position's values on the recorded grid.
        free: (27,) bool, False where frozen.
    """

    names: Sequence[str] = POSITIONS
    dimension = LENGTH

    def __init__(
        self,
        grid: str = 'recorded',
        bounds: Mapping[str, Sequence[int]] | None = None,
        freeze: Sequence[str | int] = (),
        cost: CostModel | None = None,
    ) -> None:
        self.values = grid_values(grid)
        self.cost = cost or CostModel()
        for pattern, (low, high) in (bounds or {}).items():
            for position in resolve_positions([pattern], POSITIONS):
                inside = self.values[position]
                inside = inside[(inside >= low) & (inside <= high)]
                if not len(inside):
                    raise ValueError(f'bounds: {pattern!r} [{low}, {high}] leaves no grid value')
                self.values[position] = inside
        self.lower = np.array([values[0] for values in self.values], dtype=np.float64)
        self.upper = np.array([values[-1] for values in self.values], dtype=np.float64)
        self.spread = np.array([values.std() for values in grid_values('recorded')])
        self.free = np.ones(LENGTH, dtype=bool)
        self.free[resolve_positions(freeze, POSITIONS)] = False
        self._grid = np.full((LENGTH, max(map(len, self.values))), np.inf)
        for position, values in enumerate(self.values):
            self._grid[position, : len(values)] = values

    def parse(self, source: Any) -> np.ndarray:
        """A code in any form as (27,) int64."""
        return NetworkCode.parse(source).array()

    def describe(self, code: Sequence[int]) -> dict[str, Any]:
        """What a report says of a code."""
        code = NetworkCode(tuple(int(value) for value in code))
        return {'code': list(code.values), 'text': code.text}

    def random(self, number: int, generator: np.random.Generator) -> np.ndarray:
        """Codes drawn uniformly from the grid, (number, 27) int64."""
        columns = [generator.choice(values, size=number) for values in self.values]
        return np.stack(columns, axis=1).astype(np.int64)

    def round(self, points: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Nearest codes of the grid, ties upwards; frozen positions as in ``start``.

        Args:
            points: (..., 27) float.
            start: (..., 27) codes the points came from.
        """
        points = np.asarray(points, dtype=np.float64)
        middles = (self._grid[:, 1:] + self._grid[:, :-1]) / 2
        index = (points[..., None] >= middles).sum(-1)
        rounded = np.take_along_axis(
            np.broadcast_to(self._grid, (*points.shape, self._grid.shape[1])), index[..., None], -1
        )[..., 0]
        if start is not None:
            rounded = np.where(self.free, rounded, start)
        return rounded.astype(np.int64)

    def contains(self, codes: np.ndarray) -> np.ndarray:
        """Which codes (..., 27) lie on the grid within the bounds; frozen positions are free."""
        on_grid = (np.asarray(codes)[..., None] == self._grid).any(-1)
        return (on_grid | ~self.free).all(-1)

    def clip(self, points: Tensor) -> Tensor:
        """Points (..., 27) moved inside the bounds."""
        lower, upper = (torch.as_tensor(b, dtype=points.dtype) for b in (self.lower, self.upper))
        return torch.minimum(torch.maximum(points, lower), upper)

    def neighbours(self, code: Sequence[int]) -> np.ndarray:
        """Codes that differ by one grid step in one free position, (n, 27), at most 54."""
        found = []
        for position in np.flatnonzero(self.free):
            values = self.values[position]
            below = values[values < code[position]][-1:]
            above = values[values > code[position]][:1]
            for value in (*below, *above):
                neighbour = np.array(code, dtype=np.int64)
                neighbour[position] = value
                found.append(neighbour)
        return np.stack(found) if found else np.empty((0, LENGTH), dtype=np.int64)

    def best_move(self, codes: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Codes after the one grid step that the gradient promises most of.

        Args:
            codes: (S, 27) codes on the grid.
            gradient: (S, 27) of what shall grow.
        """
        difference = self._grid - np.asarray(codes, dtype=np.float64)[..., None]
        above = np.where(difference > 0, difference, np.inf).min(-1)
        below = np.where(difference < 0, difference, -np.inf).max(-1)
        step = np.where(gradient > 0, above, below)
        step = np.where(np.isfinite(step) & self.free, step, 0.0)
        position = (step * gradient).argmax(-1)
        moved = np.array(codes, dtype=np.int64)
        rows = np.arange(len(moved))
        moved[rows, position] += step[rows, position].astype(np.int64)
        return moved

    def within(self, points: np.ndarray, start: np.ndarray, budget: Budget) -> np.ndarray:
        """Points moved down the gradient of what exceeds the budget until their rounded codes keep
        it; those that this does not bring there are drawn towards the lower bounds.

        Args:
            points: (S, 27) float.
            start: (S, 27) codes whose frozen positions stand.
            budget: The limits.

        Raises:
            ValueError: Even the lower bounds exceed the budget.
        """
        points = np.array(points, dtype=np.float64)

        def holds(candidates: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return budget.holds(*self.costs(self.round(candidates, start[rows])))

        over = np.flatnonzero(~holds(points, np.arange(len(points))))
        if not len(over):
            return points
        low = np.where(self.free, self.lower, start[over])
        if not holds(low, over).all():
            raise ValueError(f'{budget} is less than the smallest code within the bounds costs')
        outside = points[over]
        down = np.where(self.free, -self._excess(outside, budget) * self.spread**2, 0.0)
        far, reach = outside, 0.5
        for _ in range(5):
            far = np.clip(outside + reach * down, np.minimum(low, outside), outside)
            if holds(far, over).all():
                break
            reach *= 2
        inside = np.where(holds(far, over)[:, None], far, low)
        for _ in range(10):
            middle = (inside + outside) / 2
            fits = holds(middle, over)[:, None]
            inside, outside = np.where(fits, middle, inside), np.where(fits, outside, middle)
        points[over] = inside
        return points

    def _excess(self, points: np.ndarray, budget: Budget) -> np.ndarray:
        """Gradient (S, 27) of the logarithms of the limited costs."""
        leaf = torch.as_tensor(points).requires_grad_(True)
        madds, params = self.costs(leaf)
        total = sum(
            (cost / limit).log().clamp(min=0).sum()
            for cost, limit in ((madds, budget.madds), (params, budget.params))
            if limit is not None
        )
        # a point within the budget whose rounded code is not: any cost will do
        total = total + 1e-3 * (madds.log().sum() + params.log().sum())
        return torch.autograd.grad(total, leaf)[0].numpy()

    def typical_costs(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Mean and deviation of multiply-adds (G) and of parameters (M) over 512 random codes of
        the recorded grid, whatever the bounds: the unit of the cost term."""
        codes = MultiResolutionSpace('recorded').random(512, np.random.default_rng(0))
        return tuple((float(c.mean()), float(c.std())) for c in self.costs(codes))

    def cross(
        self, one: np.ndarray, other: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Codes (S, 27), each number from one of two parents."""
        return np.where(generator.random(one.shape) < 0.5, one, other)

    def mutate(self, codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Codes (S, 27) with about two free positions each drawn anew."""
        fresh = self.random(len(codes), generator)
        chosen = generator.random(codes.shape) < 2 / max(int(self.free.sum()), 1)
        return np.where(chosen & self.free, fresh, codes)

    def costs(self, codes: Any) -> tuple[Any, Any]:
        """Exact multiply-adds (G) and parameters (M) of codes (..., 27); differentiable."""
        madds, params = self.cost.both(codes)
        return madds / 1e9, params / 1e6
