"""Control flow of a run: which data, which optimizer, in which order."""

from .balanced_loop import BalancedTrainLoop
from .base import UpdateLoop, accumulates
from .train_loop import PositionTrainLoop

__all__ = ['BalancedTrainLoop', 'PositionTrainLoop', 'UpdateLoop', 'accumulates']
