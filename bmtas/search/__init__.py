"""Search strategies without gradients: each returns a BranchingTree."""

from bmtas.search.base import SearchContext
from bmtas.search.rules import PermutationSearch, RandomSearch, VanillaSearch

__all__ = ['PermutationSearch', 'RandomSearch', 'SearchContext', 'VanillaSearch']
