"""What a network costs: counting, the resource table, units, measured latency."""

from bmtas.resources.build import count_model, count_run, count_table, table_from_cfg
from bmtas.resources.counting import (
    CONVENTIONS,
    count_madds,
    count_params,
    count_saved_bytes,
    evaluation_mode,
    plain_evaluation,
    usable_device,
)
from bmtas.resources.latency import measure_latency
from bmtas.resources.network import is_open, layer_names, without_weights
from bmtas.resources.parts import STEM, Part
from bmtas.resources.report import cost_report, markdown, report_text, table_row
from bmtas.resources.table import Costs, ResourceTable
from bmtas.resources.units import UNITS, Unit, get_unit, parse_budget, unit_named

__all__ = [
    'CONVENTIONS',
    'STEM',
    'UNITS',
    'Costs',
    'Part',
    'ResourceTable',
    'Unit',
    'cost_report',
    'count_madds',
    'count_model',
    'count_params',
    'count_run',
    'count_saved_bytes',
    'count_table',
    'get_unit',
    'is_open',
    'layer_names',
    'markdown',
    'measure_latency',
    'parse_budget',
    'evaluation_mode',
    'plain_evaluation',
    'report_text',
    'table_from_cfg',
    'table_row',
    'unit_named',
    'usable_device',
    'without_weights',
]
