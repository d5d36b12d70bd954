"""The gradient search of BMTAS: strategy, loop, updates, schedule, resource term, hooks, log."""

from bmtas.search.gradient.history import HISTORY, append_history, read_history, trim_history
from bmtas.search.gradient.hooks import (
    GumbelTemperatureHook,
    ResetBatchNormHook,
    ResetOptimizerStateHook,
)
from bmtas.search.gradient.log import ALPHA_FILE, BranchingLogHook, SaveBranchingHook, argmax_tree
from bmtas.search.gradient.loop import BranchingSearchLoop, split_indices
from bmtas.search.gradient.optim import BranchingOptimWrapperConstructor
from bmtas.search.gradient.resource_loss import ResourceLoss, ResourceTerm
from bmtas.search.gradient.schedule import ALPHA, WARMUP, WEIGHTS, SearchSchedule
from bmtas.search.gradient.strategy import GradientSearch
from bmtas.search.gradient.updates import (
    alpha_update,
    split_parameters,
    warmup_update,
    weight_update,
)

__all__ = [
    'ALPHA',
    'ALPHA_FILE',
    'HISTORY',
    'WARMUP',
    'WEIGHTS',
    'BranchingLogHook',
    'BranchingOptimWrapperConstructor',
    'BranchingSearchLoop',
    'GradientSearch',
    'GumbelTemperatureHook',
    'ResetBatchNormHook',
    'ResetOptimizerStateHook',
    'ResourceLoss',
    'ResourceTerm',
    'SaveBranchingHook',
    'SearchSchedule',
    'alpha_update',
    'append_history',
    'argmax_tree',
    'read_history',
    'split_indices',
    'split_parameters',
    'trim_history',
    'warmup_update',
    'weight_update',
]
