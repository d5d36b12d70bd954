"""Rendered scenes with exact labels: geometry, figures, materials, scenes, the data set."""

from .attributes import ATTRIBUTES, CATEGORIES
from .dataset import CLASSES, LABELS, PARTS, ShapeScenes

__all__ = ['ATTRIBUTES', 'CATEGORIES', 'CLASSES', 'LABELS', 'PARTS', 'ShapeScenes']
