"""All trees, their number, and trees drawn at random or by rule."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache
from math import comb, factorial

import numpy as np

from bmtas.branching.partitions import all_partitions, refinements
from bmtas.branching.tree import BranchingTree

RULES = ('nearest', 'at_most', 'at_least')


@cache
def count_trees(num_layers: int, num_tasks: int) -> int:
    """Number of branching trees of L layers and T distinct tasks, exact.

    The group of the first task in layer 0 has n members, chosen among the others; below it and
    beside it the same question arises again: f(L, T) = sum_n C(T-1, n-1) f(L-1, n) f(L, T-n).
    """
    if num_layers == 0 or num_tasks == 0:
        return 1
    return sum(_first_group_weights(num_layers, num_tasks))


def _first_group_weights(num_layers: int, num_tasks: int) -> list[int]:
    """Number of trees in which the first task's group in layer 0 has 1, 2, ..., T members."""
    return [
        comb(num_tasks - 1, size - 1)
        * count_trees(num_layers - 1, size)
        * count_trees(num_layers, num_tasks - size)
        for size in range(1, num_tasks + 1)
    ]


def enumerate_trees(num_layers: int, tasks: Sequence[str]) -> Iterator[BranchingTree]:
    """All ``count_trees(L, T)`` trees, one after another, from shared to separate (T <= 9)."""
    partitions = all_partitions(len(tasks))
    coarse, fine = refinements(len(tasks))
    starts = np.searchsorted(coarse, np.arange(len(partitions) + 1))

    def extend(chain: list[int]) -> Iterator[BranchingTree]:
        if len(chain) == num_layers:
            yield BranchingTree.from_routes(partitions[chain], tasks)
            return
        last = chain[-1] if chain else 0
        for index in fine[starts[last] : starts[last + 1]]:
            yield from extend([*chain, int(index)])

    yield from extend([])


def tree_chains(num_layers: int, num_tasks: int) -> np.ndarray:
    """All trees at once as indices into ``partitions.all_partitions``.

    Returns:
        (count_trees(L, T), L) int32.

    Raises:
        ValueError: More than five million trees.
    """
    count = count_trees(num_layers, num_tasks)
    if count > 5_000_000:
        raise ValueError(f'{count:,} trees of {num_layers} layers and {num_tasks} tasks: too many')
    coarse, fine = refinements(num_tasks)
    starts = np.searchsorted(coarse, np.arange(len(all_partitions(num_tasks)) + 1))
    chains = np.zeros((1, 1), np.int32)  # before layer 0 all tasks are together
    for _ in range(num_layers):
        last = chains[:, -1]
        choices = starts[last + 1] - starts[last]
        position = np.arange(choices.sum()) - np.repeat(np.cumsum(choices) - choices, choices)
        after = fine[np.repeat(starts[last], choices) + position].astype(np.int32)
        chains = np.column_stack([np.repeat(chains, choices, axis=0), after])
    return chains[:, 1:]


def uniform_tree(num_layers: int, tasks: Sequence[str], seed: int = 0) -> BranchingTree:
    """One of all trees, each with the same probability, for any number of tasks.

    Uniform over trees is not uniform over costs: there are many more trees that split early.
    """
    rng = random.Random(seed)
    routes = np.zeros((num_layers, len(tasks)), np.int64)
    groups = [list(range(len(tasks)))]
    for layer in range(num_layers):
        groups = [
            child for group in groups for child in _draw_partition(num_layers - layer, group, rng)
        ]
        for index, group in enumerate(groups):
            routes[layer, group] = index
    return BranchingTree.from_routes(routes, tasks)


def _draw_partition(num_layers: int, members: list[int], rng: random.Random) -> list[list[int]]:
    """Partition of one group in the first of ``num_layers`` layers, weighed by the trees below."""
    groups = []
    while members:
        weights = _first_group_weights(num_layers, len(members))
        ticket, size = rng.randrange(sum(weights)), 1
        while ticket >= weights[size - 1]:  # integers of any size: random.choices would round
            ticket -= weights[size - 1]
            size += 1
        chosen = {members[0], *rng.sample(members[1:], size - 1)}
        groups.append([task for task in members if task in chosen])
        members = [task for task in members if task not in chosen]
    return groups


def vanilla_tree(num_layers: int, tasks: Sequence[str], num_shared: int) -> BranchingTree:
    """The first ``num_shared`` layers in one group, all later layers separate."""
    if not 0 <= num_shared <= num_layers:
        raise ValueError(f'num_shared: must be 0 to {num_layers}, got {num_shared}')
    routes = np.tile(np.arange(len(tasks)), (num_layers, 1))
    routes[:num_shared] = 0
    return BranchingTree.from_routes(routes, tasks)


def index_at_cost(costs: Sequence[float], target: float, rule: str = 'nearest') -> int | None:
    """Index of the cost that is nearest to ``target`` among those that the rule allows.

    Args:
        costs: Costs in any order.
        target: In their unit.
        rule: 'nearest' (the first of two equally near), or the nearest 'at_most' or 'at_least'.

    Returns:
        None where the rule allows none.

    Raises:
        ValueError: Unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f'unknown rule {rule!r}, choose from {RULES}')
    sign = {'nearest': 0, 'at_most': 1, 'at_least': -1}[rule]
    allowed = [index for index, cost in enumerate(costs) if sign * (cost - target) <= 0]
    return min(allowed, key=lambda index: abs(costs[index] - target), default=None)


def vanilla_tree_at_cost(
    table, tasks: Sequence[str], target: float, rule: str = 'nearest'
) -> BranchingTree:
    """The vanilla tree whose cost is nearest to, at most or at least ``target``.

    Args:
        table: Resource table (``stem``, ``layers``, ``heads``).
        tasks: Task names.
        target: Cost of the whole network in the table's unit.
        rule: 'nearest' (the cheaper of two equally near), 'at_most' or 'at_least' (the nearest
            among those).

    Raises:
        ValueError: Unknown rule, or no vanilla tree meets it.
    """
    num_layers = len(table.layers)
    trees = [vanilla_tree(num_layers, tasks, num) for num in range(num_layers, -1, -1)]
    costs = [tree.cost(table) for tree in trees]
    index = index_at_cost(costs, target, rule)
    if index is None:
        raise ValueError(
            f'no vanilla tree costs {rule.replace("_", " ")} {target:,.0f}: '
            f'they cost {costs[0]:,} (shared) to {costs[-1]:,} (separate)'
        )
    return trees[index]


def num_permutations(tree: BranchingTree) -> int:
    """Number of distinct trees that arise by permuting the tasks, the tree itself included."""
    return factorial(tree.num_tasks) // tree.num_symmetries()


def permutations(tree: BranchingTree, count: int, seed: int = 0) -> list[BranchingTree]:
    """Distinct trees of the same form with other tasks in its places, drawn uniformly.

    Raises:
        ValueError: There are fewer than ``count`` besides the tree itself.
    """
    available = num_permutations(tree) - 1
    if count > available:
        raise ValueError(f'{count} permutations asked for, the tree has {available} others')
    rng = random.Random(seed)
    found: dict[BranchingTree, None] = {}
    while len(found) < count:
        images = rng.sample(tree.tasks, tree.num_tasks)
        other = tree.permuted(dict(zip(tree.tasks, images)))
        if other != tree:
            found.setdefault(other)
    return list(found)
