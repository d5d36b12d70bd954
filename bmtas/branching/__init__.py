"""The domain: trees, their expected cost, their number, the best of them. Torch and numpy only."""

from bmtas.branching.expected_cost import expected_cost, expected_groups
from bmtas.branching.tree import BranchingTree

__all__ = ['BranchingTree', 'expected_cost', 'expected_groups']
