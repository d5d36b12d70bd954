"""Every strategy that finds a tree, and the one way to run it."""

from bmtas.search.best_of_random import BestOfRandom
from bmtas.search.bmn_search import BMNSearch
from bmtas.search.context import BRANCHING, PICTURES, SearchContext, SearchResult, Strategy
from bmtas.search.fafs_search import FAFSSearch
from bmtas.search.front import FRONT, as_shown
from bmtas.search.gradient import GradientSearch
from bmtas.search.rules import PermutationSearch, RandomSearch, VanillaSearch
from bmtas.search.run import run_search
from bmtas.search.surrogate_search import SurrogateSearch

__all__ = [
    'BRANCHING',
    'FRONT',
    'PICTURES',
    'BMNSearch',
    'BestOfRandom',
    'FAFSSearch',
    'GradientSearch',
    'PermutationSearch',
    'RandomSearch',
    'SearchContext',
    'SearchResult',
    'Strategy',
    'SurrogateSearch',
    'VanillaSearch',
    'as_shown',
    'run_search',
]
