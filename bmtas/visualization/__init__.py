"""Pictures: trees, architecture probabilities, curves of a search, predictions beside truth.

All functions write a PNG and return its path. They draw on figures of their own, never through
pyplot, so they need no display and change no global state.
"""

from .affinity import draw_affinity
from .alpha import draw_alpha
from .curves import draw_curves
from .front import draw_front
from .palettes import task_colours
from .predictions import draw_predictions
from .tree import draw_tree

__all__ = [
    'draw_affinity',
    'draw_alpha',
    'draw_curves',
    'draw_front',
    'draw_predictions',
    'draw_tree',
    'task_colours',
]
