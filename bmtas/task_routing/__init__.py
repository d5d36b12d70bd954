"""Task routing: many tasks in one network, each with its own fixed subset of the channels."""

from .compact import CompactEncoder
from .hooks import MaskFileHook, RoamingHook
from .mask_table import MaskTable
from .masks import SCHEMES, MaskRequest, draw_mask, mask_statistics
from .routed import RoutedEncoder
from .router import TaskRouter, active_task
from .sampling_loop import TaskSamplingLoop

__all__ = [
    'SCHEMES',
    'CompactEncoder',
    'MaskFileHook',
    'MaskRequest',
    'MaskTable',
    'RoamingHook',
    'RoutedEncoder',
    'TaskRouter',
    'TaskSamplingLoop',
    'active_task',
    'draw_mask',
    'mask_statistics',
]
