"""The branching tree: which tasks share which encoder layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.branching._text import draw_text, split_group
from bmtas.branching.tree_io import check_routes, read_tree, write_tree


class BranchingTree:
    """For each layer a partition of the tasks into groups, each layer refining the one before.

    Two tasks share layer l iff their routes agree in all layers 0..l. Routes are labels; a tree is
    compared, hashed, printed and stored by its groups alone. Trees are immutable.

    Attributes:
        tasks: Names of the T tasks, the columns of ``routes``.
        layers: Names of the L layers, or None.
        routes: Read-only integer array (L, T), canonical: within a layer the groups are numbered
            in the order of their first task, so equal entries mean "share this layer and all
            layers before it".
    """

    def __init__(
        self, routes: np.ndarray, tasks: tuple[str, ...], layers: tuple[str, ...] | None
    ) -> None:
        """Use ``from_routes``; this takes canonical routes as they are."""
        self.routes = routes
        self.routes.setflags(write=False)
        self.tasks = tasks
        self.layers = layers

    @classmethod
    def from_routes(
        cls, routes: Any, tasks: Sequence[str] | None = None, layers: Sequence[str] | None = None
    ) -> BranchingTree:
        """Build the tree that a table of candidates describes.

        Args:
            routes: (L, T) table of whole numbers >= 0 (nested lists, array or tensor): the
                candidate that task t uses in layer l.
            tasks: T distinct names; ``task0``, ``task1``, ... by default.
            layers: L names, optional.

        Raises:
            ValueError: Ragged rows, other than whole numbers, or sizes that do not fit.
        """
        table = check_routes(routes)
        tasks = tuple(tasks or (f'task{t}' for t in range(table.shape[1])))
        if len(tasks) != table.shape[1]:
            raise ValueError(
                f'routes have {table.shape[1]} columns but there are {len(tasks)} tasks {tasks}'
            )
        if len(set(tasks)) != len(tasks):
            raise ValueError(f'task names must be distinct, got {tasks}')
        if layers is not None and len(layers) != len(table):
            raise ValueError(f'routes have {len(table)} rows but there are {len(layers)} layers')
        return cls(_canonical(table), tasks, None if layers is None else tuple(layers))

    @classmethod
    def shared(
        cls, num_layers: int, tasks: Sequence[str], layers: Sequence[str] | None = None
    ) -> BranchingTree:
        """All tasks in one group in every layer."""
        return cls.from_routes(np.zeros((num_layers, len(tasks)), int), tasks, layers)

    @classmethod
    def separate(
        cls, num_layers: int, tasks: Sequence[str], layers: Sequence[str] | None = None
    ) -> BranchingTree:
        """Every task alone in every layer."""
        return cls.from_routes(np.tile(np.arange(len(tasks)), (num_layers, 1)), tasks, layers)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        tasks: Sequence[str] | None = None,
        num_layers: int | None = None,
    ) -> BranchingTree:
        """Read a branching file (see ``to_file``).

        Args:
            path: JSON with at least ``{"config": [[...], ...]}``, L rows of T whole numbers.
            tasks: Expected names. If the file has names, its columns are put into this order; if
                not, they are taken to be in this order.
            num_layers: Expected L.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Not a branching file, or one of other tasks or another encoder.
        """
        content = read_tree(Path(path), tasks, num_layers)
        tree = cls.from_routes(content['config'], content['tasks'], content['layers'])
        groups = content.get('groups')
        if groups is not None and groups != _as_lists(tree.groups):
            raise ValueError(
                f"branching file {path}: 'groups' disagrees with 'config'; "
                "edit 'config' and remove 'groups'"
            )
        return tree if tasks is None else tree.reorder(tasks)

    def to_file(self, path: str | Path, table: Any = None) -> None:
        """Write ``config``, ``tasks``, ``layers``, ``groups``, ``cost`` and ``version`` as JSON.

        The file appears whole or not at all. With a resource table ``cost`` is the cost of the
        whole network and ``unit`` says in what, else it is null.
        """
        content: dict[str, Any] = {
            'version': 1,
            'tasks': list(self.tasks),
            'layers': None if self.layers is None else list(self.layers),
            'config': self.routes.tolist(),
            'groups': _as_lists(self.groups),
            'cost': None,
        }
        if table is not None:
            content['cost'] = self.cost(table)
            content['unit'] = getattr(table, 'unit', None)
        write_tree(Path(path), content)

    @property
    def num_layers(self) -> int:
        return self.routes.shape[0]

    @property
    def num_tasks(self) -> int:
        return self.routes.shape[1]

    @property
    def num_groups(self) -> tuple[int, ...]:
        """Number of groups in each of the L layers; never falls."""
        return tuple(int(row.max()) + 1 for row in self.routes)

    @property
    def groups(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """Per layer the groups, each a tuple of task names in the order of ``tasks``."""
        return tuple(
            tuple(
                tuple(name for name, group in zip(self.tasks, row) if group == index)
                for index in range(int(row.max()) + 1)
            )
            for row in self.routes
        )

    def cost(self, table: Any) -> int | float:
        """Cost of the branched network: stem once, each layer times its groups, one head per task.

        Args:
            table: Anything with ``stem``, ``layers`` (L costs of one copy) and ``heads`` (task
                name -> cost), e.g. a ResourceTable.
        """
        if len(table.layers) != self.num_layers:
            raise ValueError(
                f'the resource table has {len(table.layers)} layers, the tree {self.num_layers}'
            )
        missing = [name for name in self.tasks if name not in table.heads]
        if missing:
            raise ValueError(f'the resource table has no head for {", ".join(missing)}')
        encoder = sum(cost * num for cost, num in zip(table.layers, self.num_groups))
        return table.stem + encoder + sum(table.heads[name] for name in self.tasks)

    def reorder(self, tasks: Sequence[str]) -> BranchingTree:
        """The same tree with its columns in the order of ``tasks``."""
        if sorted(tasks) != sorted(self.tasks):
            raise ValueError(f'the tree is for tasks {list(self.tasks)}, not {list(tasks)}')
        columns = [self.tasks.index(name) for name in tasks]
        return type(self).from_routes(self.routes[:, columns], tasks, self.layers)

    def permuted(self, mapping: Mapping[str, str]) -> BranchingTree:
        """Tasks change places: ``mapping[t]`` takes the place of t. The cost stays the same.

        Args:
            mapping: Bijection of the task names; names left out stay.
        """
        images = [mapping.get(name, name) for name in self.tasks]
        if sorted(images) != sorted(self.tasks) or not set(mapping) <= set(self.tasks):
            raise ValueError(f'{dict(mapping)} is not a permutation of {list(self.tasks)}')
        return type(self).from_routes(self.routes, images, self.layers).reorder(self.tasks)

    def num_symmetries(self) -> int:
        """Number of task permutations that leave the tree unchanged.

        T! / num_symmetries() distinct trees arise by permuting the tasks.
        """
        return _shape(self.routes, tuple(range(self.num_tasks)), 0)[1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BranchingTree):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[frozenset[frozenset[str]], ...]:
        return tuple(frozenset(map(frozenset, layer)) for layer in self.groups)

    def __repr__(self) -> str:
        return f'BranchingTree.from_routes({self.routes.tolist()}, tasks={list(self.tasks)})'

    def __str__(self) -> str:
        return draw_text(self.routes, self.tasks, self.layers)


def _as_lists(groups: Sequence[Sequence[Sequence[str]]]) -> list[list[list[str]]]:
    return [[list(group) for group in layer] for layer in groups]


def _canonical(table: np.ndarray) -> np.ndarray:
    """Running meet of the rows of (L, T), groups numbered by their first task."""
    routes = np.empty_like(table)
    current = [0] * table.shape[1]
    for layer, row in enumerate(table.tolist()):
        seen: dict[tuple[int, int], int] = {}
        current = [seen.setdefault(pair, len(seen)) for pair in zip(current, row)]
        routes[layer] = current
    return routes


def _shape(routes: np.ndarray, members: tuple[int, ...], layer: int) -> tuple[Any, int]:
    """Form of the subtree below ``members`` without task names, and its number of symmetries.

    Subtrees of equal form may change places, so their number contributes a factorial; the tasks of
    one leaf may too.
    """
    if layer == len(routes):
        return len(members), factorial(len(members))
    below = [_shape(routes, child, layer + 1) for child in split_group(routes, members, layer)]
    symmetries = 1
    for _, num in below:
        symmetries *= num
    for num in Counter(form for form, _ in below).values():
        symmetries *= factorial(num)
    return tuple(sorted((form for form, _ in below), key=repr)), symmetries
