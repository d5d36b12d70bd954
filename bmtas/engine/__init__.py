"""How a run proceeds: configs, loops, hooks, optimizers, checkpoints, distribution."""

from . import checkpoint, hooks, loops, optim

__all__ = ['checkpoint', 'hooks', 'loops', 'optim']
