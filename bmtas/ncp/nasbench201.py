"""nas-bench-201 cells: six edges, five operations, one-hot codes of 30 numbers.

Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search,
ICLR 2020.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .codes import CodeError, read_code
from .grid import resolve_positions
from .spaces import Budget

OPERATIONS = ('avg_pool_3x3', 'none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3')
"""Operations in the order of the records' one-hot codes."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Edges (from, to) in the order of the records' codes."""
CELL_LENGTH = len(EDGES) * len(OPERATIONS)

# of the CIFAR-100 network, 5 cells at each of 16, 32 and 64 channels: stem, the two reducing
# blocks and the classifier; then one 1x1 and one 3x3 convolution on the same edge of all cells
BASE_MADDS, CONV1_MADDS, CONV3_MADDS = 7_788_800, 3_932_160, 35_389_440
BASE_PARAMS, CONV1_PARAMS, CONV3_PARAMS = 79_156, 28_000, 243_040


def cell_from_text(text: str) -> np.ndarray:
    """Read ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`` as a one-hot code (30,).

    Raises:
        CodeError: Not six edges in this order, or an unknown operation.
    """
    found = re.findall(r'([a-z0-9_]+)~(\d)', text)
    if [int(source) for _, source in found] != [edge[0] for edge in EDGES]:
        raise CodeError(f'cell {text!r}: six edges |op~0|+|op~0|op~1|+|op~0|op~1|op~2| expected')
    return cell_from_operations([name for name, _ in found])


def cell_from_operations(names: Sequence[str | int]) -> np.ndarray:
    """One-hot code (30,) of six operations, by name or number."""
    if len(names) != len(EDGES):
        raise CodeError(f'a cell has {len(EDGES)} operations, got {len(names)}')
    code = np.zeros((len(EDGES), len(OPERATIONS)), dtype=np.int64)
    for edge, name in enumerate(names):
        number = OPERATIONS.index(name) if name in OPERATIONS else name
        if not isinstance(number, int | np.integer) or not 0 <= number < len(OPERATIONS):
            raise CodeError(f'cell edge {edge}: {name!r} is none of {list(OPERATIONS)}')
        code[edge, number] = 1
    return code.reshape(-1)


def operations(codes: np.ndarray) -> np.ndarray:
    """Operation numbers (..., 6) of codes or points (..., 30): the largest entry of each edge."""
    return np.asarray(codes).reshape(*np.shape(codes)[:-1], len(EDGES), -1).argmax(-1)


def cell_text(code: Sequence[int]) -> str:
    """The text form of a one-hot code, as the benchmark writes it."""
    names = [OPERATIONS[number] for number in operations(np.asarray(code))]
    nodes = [
        '|' + '|'.join(f'{n}~{s}' for n, (s, t) in zip(names, EDGES) if t == node) + '|'
        for node in (1, 2, 3)
    ]
    return '+'.join(nodes)


class CellSpace:
    """One-hot codes of nas-bench-201 cells.

    Args:
        exclude: Operations that no edge may take.
        freeze: Edges that never change: numbers 0..5 or names ``edge0`` ... ``edge5``.
        grid, bounds, cost: Only for multi-resolution codes; must be absent.

    Attributes:
        names: Names of the edges.
        free: (30,) bool, False where frozen.
    """

    names = tuple(f'edge{number}' for number in range(len(EDGES)))
    dimension = CELL_LENGTH

    def __init__(
        self,
        exclude: Sequence[str] = (),
        freeze: Sequence[str | int] = (),
        grid: None = None,
        bounds: None = None,
        cost: None = None,
    ) -> None:
        if grid or bounds or cost:
            raise ValueError('nas-bench-201: grid, bounds and cost do not apply, use exclude')
        unknown = [name for name in exclude if name not in OPERATIONS]
        if unknown:
            raise ValueError(f'exclude: {unknown[0]!r} is none of {list(OPERATIONS)}')
        self.allowed = np.array([name not in exclude for name in OPERATIONS])
        if not self.allowed.any():
            raise ValueError('exclude: no operation is left')
        edges = np.ones(len(EDGES), dtype=bool)
        edges[resolve_positions(freeze, self.names)] = False
        self.free_edges, self.free = edges, edges.repeat(len(OPERATIONS))

    def parse(self, source: Any) -> np.ndarray:
        """A cell as text, six operations, 30 numbers, or a JSON file with one; (30,) int64."""
        if isinstance(source, str):
            json = source.endswith('.json')
            return read_code(source, self.parse) if json else cell_from_text(source)
        if len(source) == len(EDGES):
            return cell_from_operations(source)
        code = np.asarray(source)
        if code.shape != (CELL_LENGTH,) or not np.isin(code, (0, 1)).all():
            raise CodeError(f'a cell code has {CELL_LENGTH} numbers 0 or 1, got {source}')
        if (code.reshape(len(EDGES), -1).sum(1) != 1).any():
            raise CodeError('cell code: not one operation on every edge')
        return code.astype(np.int64)

    def describe(self, code: Sequence[int]) -> dict[str, Any]:
        """What a report says of a code."""
        names = [OPERATIONS[number] for number in operations(np.asarray(code))]
        return {'code': [int(v) for v in code], 'text': cell_text(code), 'operations': names}

    def random(self, number: int, generator: np.random.Generator) -> np.ndarray:
        """Cells drawn uniformly, (number, 30) int64."""
        chosen = generator.choice(np.flatnonzero(self.allowed), size=(number, len(EDGES)))
        return np.eye(len(OPERATIONS), dtype=np.int64)[chosen].reshape(number, -1)

    def round(self, points: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Each edge takes its largest entry among the allowed; frozen ones as in ``start``."""
        points = np.asarray(points, dtype=np.float64)
        edges = points.reshape(*points.shape[:-1], len(EDGES), len(OPERATIONS))
        chosen = np.where(self.allowed, edges, -np.inf).argmax(-1)
        codes = np.eye(len(OPERATIONS), dtype=np.int64)[chosen].reshape(points.shape)
        return codes if start is None else np.where(self.free, codes, start)

    def contains(self, codes: np.ndarray) -> np.ndarray:
        """Which codes (..., 30) are one-hot on every edge, with allowed operations."""
        edges = np.asarray(codes).reshape(*np.shape(codes)[:-1], len(EDGES), -1)
        one_hot = np.isin(edges, (0, 1)).all((-1, -2)) & (edges.sum(-1) == 1).all(-1)
        allowed = self.allowed[edges.argmax(-1)] | ~self.free_edges
        return one_hot & allowed.all(-1)

    def clip(self, points: Tensor) -> Tensor:
        """Points (..., 30) moved inside 0..1."""
        return points.clamp(0, 1)

    def neighbours(self, code: Sequence[int]) -> np.ndarray:
        """Cells that differ in the operation of one free edge, (n, 30), at most 24."""
        found = []
        for edge in np.flatnonzero(self.free_edges):
            for number in np.flatnonzero(self.allowed):
                near = np.array(code, dtype=np.int64).reshape(len(EDGES), -1)
                if not near[edge, number]:
                    near[edge] = 0
                    near[edge, number] = 1
                    found.append(near.reshape(-1))
        return np.stack(found) if found else np.empty((0, CELL_LENGTH), dtype=np.int64)

    def best_move(self, codes: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Codes after the change of one edge that the gradient (S, 30) promises most of."""
        moved = []
        for code, slope in zip(codes, gradient):
            near = self.neighbours(code)
            gains = (near - code) @ slope
            moved.append(near[gains.argmax()] if len(near) and gains.max() > 0 else code)
        return np.stack(moved)

    def within(self, points: np.ndarray, start: np.ndarray, budget: Budget) -> np.ndarray:
        """Points whose rounded cells keep the budget: convolutions are given up, on the edge first
        where another operation is nearest.

        Raises:
            ValueError: Frozen edges or excluded operations leave no cell within the budget.
        """
        points = np.array(points, dtype=np.float64)
        for row, point in enumerate(points):
            edges = point.reshape(len(EDGES), -1)
            while not budget.holds(*self.costs(self.round(point, start[row]))):
                chosen = operations(self.round(point, start[row]))
                best = (np.inf, None)
                for edge in np.flatnonzero(self.free_edges):
                    lower = np.flatnonzero(self.allowed & (_WEIGHT[chosen[edge]] > _WEIGHT))
                    if len(lower):
                        loss = edges[edge, chosen[edge]] - edges[edge, lower].max()
                        best = min(best, (loss, (edge, lower)), key=lambda pair: pair[0])
                if best[1] is None:
                    raise ValueError(f'{budget} is less than the smallest cell costs')
                edge, lower = best[1]
                keep = lower[edges[edge, lower].argmax()]
                edges[edge, keep], edges[edge, chosen[edge]] = (
                    edges[edge, chosen[edge]],
                    edges[edge, keep] - 1e-6,
                )
        return points

    def costs(self, codes: Any) -> tuple[Any, Any]:
        """Multiply-adds (G) and parameters (M) of the CIFAR-100 network, from the operations."""
        ones, threes = _convolutions(codes)
        madds = BASE_MADDS + ones * CONV1_MADDS + threes * CONV3_MADDS
        params = BASE_PARAMS + ones * CONV1_PARAMS + threes * CONV3_PARAMS
        return madds / 1e9, params / 1e6

    def typical_costs(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Mean and deviation of both costs over 512 random cells."""
        costs = self.costs(CellSpace().random(512, np.random.default_rng(0)))
        return tuple((float(cost.mean()), float(cost.std())) for cost in costs)

    def cross(
        self, one: np.ndarray, other: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Cells (S, 30), each edge from one of two parents."""
        chosen = generator.random((len(one), len(EDGES))) < 0.5
        return np.where(chosen.repeat(len(OPERATIONS), axis=1), one, other)

    def mutate(self, codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Cells (S, 30) with about two free edges each drawn anew."""
        fresh = self.random(len(codes), generator)
        edges = generator.random((len(codes), len(EDGES))) < 2 / len(EDGES)
        chosen = edges.repeat(len(OPERATIONS), axis=1) & self.free
        return np.where(chosen, fresh, codes)


# order in which operations are given up for a budget
_WEIGHT = np.array([0, 0, 0, CONV1_MADDS, CONV3_MADDS])


def _convolutions(codes: Any) -> tuple[Any, Any]:
    """How many 1x1 and 3x3 convolutions; sums of the entries for points between codes."""
    codes = codes if torch.is_tensor(codes) else np.asarray(codes)
    edges = codes.reshape(*codes.shape[:-1], len(EDGES), len(OPERATIONS))
    return edges[..., 3].sum(-1), edges[..., 4].sum(-1)
