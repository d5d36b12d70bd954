"""Search strategies without gradients: each returns a BranchingTree."""

from bmtas.search.base import SearchContext
from bmtas.search.bmn_search import BMNSearch
from bmtas.search.fafs_search import FAFSSearch
from bmtas.search.rules import PermutationSearch, RandomSearch, VanillaSearch

__all__ = [
    'BMNSearch',
    'FAFSSearch',
    'PermutationSearch',
    'RandomSearch',
    'SearchContext',
    'VanillaSearch',
]
