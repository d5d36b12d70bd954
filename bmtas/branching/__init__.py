"""The domain: trees, their expected cost, their number, the best of them. Torch and numpy only."""

from bmtas.branching._beam import candidate_partitions
from bmtas.branching.at_cost import TreesAtCost, trees_at_cost, uniform_tree_at_cost
from bmtas.branching.enumeration import (
    count_trees,
    enumerate_trees,
    index_at_cost,
    num_permutations,
    permutations,
    uniform_tree,
    vanilla_tree,
    vanilla_tree_at_cost,
)
from bmtas.branching.expected_cost import expected_cost, expected_groups
from bmtas.branching.merging import MergedTrees
from bmtas.branching.optimum import (
    FRONT_METHODS,
    TreeFront,
    optimal_tree,
    partition_scores,
    tree_front,
)
from bmtas.branching.pareto import pareto_front
from bmtas.branching.partitions import MAX_ITEMS, all_partitions
from bmtas.branching.tree import BranchingTree

__all__ = [
    'FRONT_METHODS',
    'MAX_ITEMS',
    'BranchingTree',
    'MergedTrees',
    'TreeFront',
    'TreesAtCost',
    'all_partitions',
    'candidate_partitions',
    'count_trees',
    'enumerate_trees',
    'expected_cost',
    'expected_groups',
    'num_permutations',
    'optimal_tree',
    'pareto_front',
    'partition_scores',
    'permutations',
    'tree_front',
    'trees_at_cost',
    'uniform_tree',
    'uniform_tree_at_cost',
    'vanilla_tree',
    'index_at_cost',
    'vanilla_tree_at_cost',
]
