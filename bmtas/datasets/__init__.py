"""Data sets, transforms and samplers."""

from . import transforms
from .base import MultiTaskDataset

__all__ = ['MultiTaskDataset', 'transforms']
