"""How a run proceeds: configs, loops, hooks, optimizers, checkpoints, distribution.

Nothing is imported here, so that the tools answer ``--help`` at once.
"""
