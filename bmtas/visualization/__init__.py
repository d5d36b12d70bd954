"""Pictures: trees, architecture probabilities, curves of a search, predictions beside truth.

All functions write a PNG and return its path. They draw on figures of their own, never through
pyplot, so they need no display and change no global state.
"""

from .affinity import draw_affinity
from .alpha import draw_alpha
from .canvas import new_figure, plain_axes, save_figure
from .comparison import draw_comparison
from .curves import draw_curves
from .front import draw_front
from .overlays import overlay, side_by_side
from .palettes import INK, task_colours
from .predictions import draw_predictions
from .tree import draw_tree

__all__ = [
    'INK',
    'draw_affinity',
    'draw_alpha',
    'draw_comparison',
    'draw_curves',
    'draw_front',
    'draw_predictions',
    'draw_tree',
    'new_figure',
    'overlay',
    'plain_axes',
    'save_figure',
    'side_by_side',
    'task_colours',
]
