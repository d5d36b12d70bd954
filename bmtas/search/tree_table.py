"""Tables of trained trees: what a benchmark of strategies knows of every tree."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.branching import BranchingTree
from bmtas.files import atomic_path, meant_as

OPTIONAL = ('probe_routes', 'probes', 'seeds')


def save_arrays(path: str | Path, **arrays: Any) -> None:
    """Write a compressed ``.npz``, whole or not at all."""
    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


@dataclass(frozen=True)
class TreeTable:
    """Losses of N trees trained with S seeds; NaN where a tree was not trained with a seed.

    Attributes:
        tasks: T names.
        routes: (N, L, T) of the trees, canonical.
        layer_costs: (L,) cost of one copy of each layer.
        fixed_cost: Cost of what every network has: stem and heads.
        readings: (R,) shares of the training at which the held-out losses were read, rising to 1.
        held_out: (N, S, R, T) log losses of held-out samples: what a strategy may look at.
        test: (N, S, T) log losses of the test samples in the end: the truth.
        probe_routes: (P, L, T) of the trees of one split, the last is Shared; None without probes.
        probes: (P, S, T) held-out log losses of a short training of these from one Shared network.
        seeds: (S,) their numbers; 0, 1, ... by default.
    """

    tasks: tuple[str, ...]
    routes: np.ndarray
    layer_costs: np.ndarray
    fixed_cost: float
    readings: np.ndarray
    held_out: np.ndarray
    test: np.ndarray
    probe_routes: np.ndarray | None = None
    probes: np.ndarray | None = None
    seeds: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.seeds is None:
            object.__setattr__(self, 'seeds', np.arange(self.test.shape[1]))

    @classmethod
    def load(cls, path: str | Path) -> TreeTable:
        """Read a table that ``save`` wrote.

        Raises:
            FileNotFoundError: No such file.
            ValueError: The file is no such table, or its arrays do not fit together.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f'table of trees {path} does not exist')
        names = [field.name for field in fields(cls)]
        try:
            with np.load(path) as stored:
                content = {
                    name: stored[name] for name in names if name in stored or name not in OPTIONAL
                }
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, OSError) as error:
            raise ValueError(f'table of trees {path}: not one, or damaged ({error})') from None
        with meant_as('table of trees', path):
            content['tasks'] = tuple(content['tasks'].tolist())
            content['fixed_cost'] = float(content['fixed_cost'])
            table = cls(**content)
            num, layers, tasks = table.routes.shape
        expected = dict(
            tasks=(tasks,),
            layer_costs=(layers,),
            held_out=(num, table.test.shape[1], len(table.readings), tasks),
            test=(num, table.test.shape[1], tasks),
            seeds=(table.test.shape[1],),
        )
        if table.probes is not None:
            probes = len(table.probes)
            expected.update(
                probe_routes=(probes, layers, tasks), probes=(probes, table.test.shape[1], tasks)
            )
        for name, shape in expected.items():
            if np.shape(getattr(table, name)) != shape:
                raise ValueError(
                    f'table of trees {path}: {name} is an array of '
                    f'{np.shape(getattr(table, name))}, expected {shape}'
                )
        return table

    def save(self, path: str | Path) -> None:
        """Write a compressed ``.npz``."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        content = {name: value for name, value in content.items() if value is not None}
        for name in {'held_out', 'test', 'probes'} & set(content):
            content[name] = content[name].astype(np.float32)
        save_arrays(path, **content)

    @cached_property
    def trees(self) -> list[BranchingTree]:
        return [BranchingTree.from_routes(routes, self.tasks) for routes in self.routes]

    @cached_property
    def index(self) -> dict[BranchingTree, int]:
        """Number of each tree."""
        return {tree: number for number, tree in enumerate(self.trees)}

    @cached_property
    def costs(self) -> np.ndarray:
        """(N,) cost of each whole network."""
        return self.fixed_cost + (self.routes.max(2) + 1) @ self.layer_costs

    @cached_property
    def trained(self) -> np.ndarray:
        """(N, S) whether a tree was trained with a seed."""
        return np.isfinite(self.test).all(2)

    def complete(self, count: int | None = None) -> TreeTable:
        """The trees and seeds without a gap: of the seeds with most trees as many as give most.

        Args:
            count: Number of seeds instead, at least two.

        Raises:
            ValueError: Fewer than two seeds, or fewer than two trees in two seeds.
        """
        order = np.argsort(-self.trained.sum(0), kind='stable')
        common = np.cumprod(self.trained[:, order], axis=1).astype(bool)
        cells = common.sum(0) * np.arange(1, common.shape[1] + 1)
        if len(cells) < 2 or cells[1] < 4:
            raise ValueError('the table has no two trees that were trained with two seeds')
        count = count or 2 + int(cells[1:].argmax())
        if not 2 <= count <= len(cells) or cells[count - 1] < 2 * count:
            raise ValueError(f'the table has no two trees that were trained with {count} seeds')
        trees, seeds = np.flatnonzero(common[:, count - 1]), np.sort(order[:count])
        return replace(
            self,
            routes=self.routes[trees],
            held_out=self.held_out[trees][:, seeds],
            test=self.test[trees][:, seeds],
            probes=None if self.probes is None else self.probes[:, seeds],
            seeds=self.seeds[seeds],
        )
