"""Rendered scenes with exact labels: geometry, figures, materials, scenes, the data set."""

from .dataset import CLASSES, LABELS, PARTS, ShapeScenes

__all__ = ['CLASSES', 'LABELS', 'PARTS', 'ShapeScenes']
