"""Task routing: many tasks in one network, each with its own fixed subset of the channels."""

from .compact import CompactEncoder
from .mask_table import MaskTable
from .masks import SCHEMES, MaskRequest, draw_mask, mask_statistics
from .routed import RoutedEncoder
from .router import TaskRouter, active_task

__all__ = [
    'SCHEMES',
    'CompactEncoder',
    'MaskRequest',
    'MaskTable',
    'RoutedEncoder',
    'TaskRouter',
    'active_task',
    'draw_mask',
    'mask_statistics',
]
