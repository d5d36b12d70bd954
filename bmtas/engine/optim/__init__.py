"""Optimizers: groups of parameters, learning rates by sharing, mixed precision on any device."""

from .autocast import AutocastOptimWrapper
from .constructors import SharedLRConstructor, build_wrapper

__all__ = [
    'AutocastOptimWrapper',
    'SharedLRConstructor',
    'build_wrapper',
]
