"""Side effects of a run: anneal, reset, log, save."""

from .branching_log_hook import BranchingLogHook
from .gumbel_temperature_hook import GumbelTemperatureHook
from .reset_batch_norm_hook import ResetBatchNormHook
from .reset_optimizer_state_hook import ResetOptimizerStateHook
from .save_branching_hook import SaveBranchingHook

__all__ = [
    'BranchingLogHook',
    'GumbelTemperatureHook',
    'ResetBatchNormHook',
    'ResetOptimizerStateHook',
    'SaveBranchingHook',
]
