"""Which trees to train."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from types import SimpleNamespace

import numpy as np

from bmtas.branching import BranchingTree, trees_at_cost

TOLERANCES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def design_trees(costs: Sequence[float], num_tasks: int, count: int, seed: int) -> np.ndarray:
    """Shared, Separate, and trees drawn uniformly over costs, at each cost uniformly.

    Uniform draws over trees would mostly be dear ones, which split early. Trees are distinct
    while there are enough of them.

    Args:
        costs: (D,) cost of one copy of each location.
        num_tasks: T.
        count: N, at least 2.
        seed: Of the draws; a longer design of the same seed begins with the shorter one.

    Returns:
        (N, D, T) routes.
    """
    if count < 2:
        raise ValueError(f'a design has at least 2 trees (Shared and Separate), got {count}')
    tasks = tuple(f'task{t}' for t in range(num_tasks))
    table = SimpleNamespace(stem=0, layers=list(costs), heads=dict.fromkeys(tasks, 0))
    rng, total = np.random.default_rng(seed), float(sum(costs))
    ends = [make(len(costs), tasks) for make in (BranchingTree.shared, BranchingTree.separate)]
    found, tries = dict.fromkeys(ends), 0
    extra: list[BranchingTree] = []
    while len(found) + len(extra) < count:
        target = rng.uniform(total, num_tasks * total)
        tree = _tree_near(table, tasks, target, int(rng.integers(2**31)))
        tries += 1
        if tree not in found:
            found[tree] = None
        elif tries > 20 * count:  # nearly all trees are in the design
            extra.append(tree)
    return np.array([tree.routes for tree in [*found, *extra]])


def _tree_near(
    table: SimpleNamespace, tasks: Sequence[str], target: float, seed: int
) -> BranchingTree:
    """A tree of about the cost ``target``, within the first tolerance at which there is one."""
    for tolerance in TOLERANCES:
        try:
            return trees_at_cost(table, tasks, target, tolerance).sample(seed)
        except ValueError:
            if tolerance == TOLERANCES[-1]:
                raise
    raise AssertionError


def probe_trees(
    num_locations: int, num_tasks: int, locations: Sequence[int] | None = None
) -> np.ndarray:
    """All trees of one split: some tasks leave the others from a location on.

    Args:
        num_locations: D.
        num_tasks: T.
        locations: Where to split; everywhere by default.

    Returns:
        ((2^(T - 1) - 1) * locations, D, T) routes, by location.
    """
    places = range(num_locations) if locations is None else locations
    trees = []
    for place in places:
        for code in range(1, 2 ** (num_tasks - 1)):
            routes = np.zeros((num_locations, num_tasks), int)
            routes[place:] = [0, *(code >> bit & 1 for bit in range(num_tasks - 1))]
            trees.append(routes)
    return np.array(trees)


def pair_trees(num_locations: int, num_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Networks of two tasks that share the first 0, 1, ..., D locations (as in TreeMTL, 2022).

    Returns:
        (N, D, T) routes, the other tasks alone, and (N, T) bool: which two tasks a row has.
    """
    trees, members = [], []
    for first, second in combinations(range(num_tasks), 2):
        for shared in range(num_locations + 1):
            routes = np.tile(np.arange(num_tasks), (num_locations, 1))
            routes[:shared, second] = first
            trees.append(BranchingTree.from_routes(routes).routes)
            members.append(np.isin(np.arange(num_tasks), (first, second)))
    return np.array(trees), np.array(members)
