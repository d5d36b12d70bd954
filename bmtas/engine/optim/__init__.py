"""Optimizers: groups of parameters, learning rates by sharing, mixed precision on any device."""

from .autocast import AutocastOptimWrapper
from .constructors import BranchingOptimWrapperConstructor, SharedLRConstructor

__all__ = ['AutocastOptimWrapper', 'BranchingOptimWrapperConstructor', 'SharedLRConstructor']
