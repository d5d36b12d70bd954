"""What a network costs: counting, the resource table, measured latency."""

from bmtas.resources.build import count_model, count_table, table_from_cfg, without_weights
from bmtas.resources.counting import (
    CONVENTIONS,
    count_madds,
    count_params,
    count_saved_bytes,
)
from bmtas.resources.latency import measure_latency
from bmtas.resources.parts import STEM, Part
from bmtas.resources.table import Costs, ResourceTable

__all__ = [
    'CONVENTIONS',
    'STEM',
    'Costs',
    'Part',
    'ResourceTable',
    'count_madds',
    'count_model',
    'count_params',
    'count_saved_bytes',
    'count_table',
    'measure_latency',
    'table_from_cfg',
    'without_weights',
]
