"""Transforms: callables ``(results, rng) -> results`` on the arrays of one sample."""

from .pack import PackSample

__all__ = ['PackSample']
