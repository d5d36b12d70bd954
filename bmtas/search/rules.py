"""Trees that need neither data nor training: vanilla, permuted, random."""

from __future__ import annotations

from typing import Annotated, Literal

from bmtas.branching import (
    BranchingTree,
    MergedTrees,
    TreesAtCost,
    count_trees,
    permutations,
    trees_at_cost,
    uniform_tree,
    vanilla_tree,
    vanilla_tree_at_cost,
)
from bmtas.registry import STRATEGIES
from bmtas.search.context import SearchContext, SearchResult, Strategy
from bmtas.typed import Count, Natural, Range


@STRATEGIES.register_module()
class VanillaSearch(Strategy):
    """The first layers shared by all tasks, the later ones by none.

    Args:
        num_shared: Number of shared layers; by default the budget decides.
        rule: The cost is 'nearest' to the budget (paper), 'at_most' or 'at_least' that.
    """

    def __init__(
        self,
        num_shared: Natural | None = None,
        rule: Literal['nearest', 'at_most', 'at_least'] = 'nearest',
    ) -> None:
        self.num_shared, self.rule = num_shared, rule

    def run(self, context: SearchContext) -> SearchResult:
        """Build the tree."""
        if self.num_shared is not None:
            tree = vanilla_tree(context.num_layers, context.names, self.num_shared)
        else:
            budget = context.needed_budget()
            tree = vanilla_tree_at_cost(context.table, context.names, budget, self.rule)
        return context.result(tree)


@STRATEGIES.register_module()
class PermutationSearch(Strategy):
    """A given tree with the tasks in other places, at the same cost.

    Draws ``count`` distinct trees, none of them the given one, writes all of them to
    ``permutation_<number>.json`` and returns one.

    Args:
        branching: Branching file of the given tree.
        index: Which of them to return.
        count: How many to draw.
        seed: Of the draw.
    """

    def __init__(
        self, branching: str | None = None, index: Natural = 0, count: Count = 5, seed: Natural = 0
    ) -> None:
        if branching is None:
            raise ValueError('search.branching: PermutationSearch needs the file of a tree')
        if index >= count:
            raise ValueError(f'search.index: {index} is not one of {count} permutations')
        self.branching, self.index, self.count, self.seed = branching, index, count, seed

    def run(self, context: SearchContext) -> SearchResult:
        """Draw the trees.

        Raises:
            ValueError: The tree has fewer than ``count`` others.
        """
        tree = BranchingTree.from_file(self.branching, context.names, context.num_layers)
        try:
            trees = permutations(tree, self.count, self.seed)
        except ValueError as error:
            raise ValueError(f'search.count: {error} ({self.branching})') from None
        for number, other in enumerate(trees):
            other.to_file(context.work_dir / f'permutation_{number}.json', context.table)
        context.log(f'{len(trees)} permutations of {self.branching} in {context.work_dir}')
        return context.result(trees[self.index])


@STRATEGIES.register_module()
class RandomSearch(Strategy):
    """One of the trees that spend the budget, each equally likely (for more than eight tasks: drawn
    by random merges of groups, see ``MergedTrees``).

    Without a budget all trees are drawn from, most of which split early and are expensive.

    Args:
        tolerance: Part of the budget that may be left.
        seed: Of the draw.
    """

    def __init__(
        self, tolerance: Annotated[float, Range(0, 1, open=True)] = 0.04, seed: Natural = 0
    ) -> None:
        self.tolerance, self.seed = tolerance, seed

    def run(self, context: SearchContext) -> SearchResult:
        """Draw the tree."""
        if context.budget is None:
            number = count_trees(context.num_layers, len(context.names))
            tree = uniform_tree(context.num_layers, context.names, self.seed)
        else:
            trees = trees_within(context, self.tolerance)
            number, tree = getattr(trees, 'count', None), trees.sample(self.seed)
        context.log(
            'drew a tree by random merges' if number is None else f'drew one of {number:,} trees'
        )
        return context.result(tree)


def trees_within(context: SearchContext, tolerance: float) -> TreesAtCost | MergedTrees:
    """The trees that cost at most the budget and at least (1 - tolerance) times it.

    Raises:
        ValueError: There are none.
    """
    budget = context.needed_budget()
    middle = budget * (1 - tolerance / 2)
    try:
        return trees_at_cost(context.table, context.names, middle, (budget - middle) / middle)
    except ValueError as error:
        raise ValueError(f'search.tolerance: {tolerance:g} is too small: {error}') from None
