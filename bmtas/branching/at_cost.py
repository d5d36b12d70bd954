"""Uniform draws among the trees of a given cost."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from bmtas.branching.enumeration import count_trees
from bmtas.branching.merging import MergedTrees
from bmtas.branching.partitions import all_partitions, refinements
from bmtas.branching.tree import BranchingTree

MAX_TASKS, MAX_TREES = 8, 2**62


class TreesAtCost:
    """The trees whose cost lies within a tolerance of a target.

    The cost depends on the numbers of groups alone, and how a layer can be refined depends on the
    block sizes of its partition alone. So for each layer and each multiset of block sizes the costs
    of all continuations are tabulated with the number of trees that have them.

    Args:
        table: Resource table (``stem``, ``layers``, ``heads``).
        tasks: Up to eight task names.
        target: Cost of the whole network in the table's unit.
        tolerance: Relative: costs from (1 - tolerance) to (1 + tolerance) times the target.

    Attributes:
        count: Number of such trees.

    Raises:
        ValueError: Too many tasks, or no tree has such a cost; the message names the range.
    """

    def __init__(self, table, tasks: Sequence[str], target: float, tolerance: float = 0.02) -> None:
        if len(tasks) > MAX_TASKS:
            raise ValueError(f'trees at a cost: up to {MAX_TASKS} tasks, got {len(tasks)}')
        if count_trees(len(table.layers), len(tasks)) >= MAX_TREES:
            raise ValueError('trees at a cost: too many trees to count')
        self.tasks = tuple(tasks)
        self.partitions = all_partitions(len(tasks))
        self.form, self.sizes, self.below = _forms(len(tasks))
        self.steps = np.array(table.layers)[:, None] * self.sizes  # (L, forms)
        fixed = table.stem + sum(table.heads[name] for name in tasks)
        slack = abs(target) * tolerance
        self.low, self.high = target - slack - fixed, target + slack - fixed
        self._tabulate()
        self.count = self._number(-1, 0, 0)
        if self.count == 0:
            cheapest, dearest = (fixed + sum(table.layers) * num for num in (1, len(tasks)))
            raise ValueError(
                f'no tree costs {target:,} within {tolerance:.1%}; '
                f'trees cost {cheapest:,} to {dearest:,}'
            )

    def sample(self, seed: int = 0) -> BranchingTree:
        """One of them, each with the same probability."""
        rng = random.Random(seed)
        coarse, fine = refinements(len(self.tasks))
        chain, last, spent = [], 0, 0
        for layer in range(len(self.steps)):
            candidates = fine[
                np.searchsorted(coarse, last) : np.searchsorted(coarse, last, 'right')
            ]
            forms = self.form[candidates]
            numbers = {
                form: self._number(layer, form, spent + self.steps[layer, form])
                for form in set(forms.tolist())
            }
            weights = [numbers[form] for form in forms.tolist()]
            last = int(rng.choices(candidates.tolist(), weights)[0])
            spent += self.steps[layer, self.form[last]]
            chain.append(last)
        return BranchingTree.from_routes(self.partitions[chain], self.tasks)

    def _tabulate(self) -> None:
        """Per layer and form: sorted costs of the continuations and their running numbers."""
        num_layers, num_forms = self.steps.shape
        ends = [(np.zeros(1, self.steps.dtype), np.ones(1, np.int64))] * num_forms
        self.continuations = [ends]
        for layer in range(num_layers - 1, -1, -1):
            after = self.continuations[-1]
            merged = []
            for form in range(num_forms):
                reached = np.flatnonzero(self.below[form])
                costs = np.concatenate([after[r][0] + self.steps[layer, r] for r in reached])
                numbers = np.concatenate([after[r][1] * self.below[form, r] for r in reached])
                costs, inverse = np.unique(costs, return_inverse=True)
                total = np.zeros(len(costs), np.int64)
                np.add.at(total, inverse, numbers)
                merged.append((costs, total))
            self.continuations.append(merged)
        self.continuations = [
            [(costs, np.concatenate([[0], np.cumsum(numbers)])) for costs, numbers in forms]
            for forms in reversed(self.continuations)
        ]

    def _number(self, layer: int, form: int, spent: float) -> int:
        """Number of continuations after ``layer`` with a total cost in the window."""
        costs, running = self.continuations[layer + 1][form]
        # sums of floats depend on their order; a tree that was counted must stay in reach
        slack = 0 if costs.dtype.kind == 'i' else 1e-9 * abs(self.high) * (layer + 1)
        first = np.searchsorted(costs, self.low - spent - slack)
        last = np.searchsorted(costs, self.high - spent + slack, 'right')
        return int(running[last] - running[first])


def trees_at_cost(
    table, tasks: Sequence[str], target: float, tolerance: float = 0.02
) -> TreesAtCost | MergedTrees:
    """Trees of a cost to draw from: uniformly where they can be counted, else by random merges.

    Args, Raises: See ``TreesAtCost``.
    """
    many = len(tasks) > MAX_TASKS or count_trees(len(table.layers), len(tasks)) >= MAX_TREES
    return (MergedTrees if many else TreesAtCost)(table, tasks, target, tolerance)


def uniform_tree_at_cost(
    table, tasks: Sequence[str], target: float, tolerance: float = 0.02, seed: int = 0
) -> BranchingTree:
    """One of the trees whose cost is within ``tolerance`` of ``target``, each equally likely."""
    return TreesAtCost(table, tasks, target, tolerance).sample(seed)


def _forms(num_tasks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Multisets of block sizes, called forms.

    Returns:
        form (Bell,): form of each partition, 0 that of one block; sizes (forms,): number of
        blocks; below (forms, forms): how many refinements of the second form a partition of the
        first form has.
    """
    partitions = all_partitions(num_tasks)
    sizes = (partitions[:, :, None] == np.arange(num_tasks)).sum(1)
    # most members first: one block has the lexicographically greatest sizes
    kinds, example, form = np.unique(
        np.sort(-sizes, 1), axis=0, return_index=True, return_inverse=True
    )
    form = form.reshape(-1)
    coarse, fine = refinements(num_tasks)
    below = np.zeros((len(kinds), len(kinds)), np.int64)
    for kind, index in enumerate(example):
        np.add.at(below[kind], form[fine[coarse == index]], 1)
    return form, (kinds != 0).sum(1), below
