"""Data sets, transforms and samplers."""

from . import transforms
from .base import MultiTaskDataset
from .shapescenes import ShapeScenes

__all__ = ['MultiTaskDataset', 'ShapeScenes', 'transforms']
