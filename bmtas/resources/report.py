"""What one config's network costs, part by part, as data, as text and as a row of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bmtas.registry import MODELS
from bmtas.resources.build import count_model, table_from_cfg, without_weights
from bmtas.resources.parts import STEM
from bmtas.resources.table import ResourceTable

SCALES = {
    'MAdds': (1e9, 'GMAdds'),
    'params': (1e6, 'M'),
    'bytes': (1e6, 'MB'),
    'us': (1e3, 'ms'),
}
"""Unit of a table -> divisor and the unit people read."""


def copies_of(encoder: nn.Module) -> tuple[int, list[int]]:
    """How often an encoder holds the stem and each layer."""
    found = Counter(part.layer for part in encoder.parts())
    return found[STEM], [found[layer] for layer in range(encoder.num_layers)]


def _is_open(cfg: Mapping[str, Any]) -> bool:
    """Whether the config leaves the tree open: a supergraph, or a branched network without one."""
    encoder = cfg['model'].get('encoder')
    return bool(encoder) and MODELS.get(encoder['type']).takes_tree and not encoder.get('routes')


def cost_report(cfg: Mapping[str, Any], tree: Any = None, **options: Any) -> dict[str, Any]:
    """Cost of the network of a config.

    Args:
        cfg: Complete config with ``model``, ``tasks`` and ``input_size``.
        tree: A BranchingTree for a config that leaves it open. Without one the report is that of
            the shared network, one copy of each layer: the table a search starts from.
        options: Arguments of ``count_table``: convention, quantity, device.

    Returns:
        dict(unit, convention, input_size, stem, layers, layer_names, heads, other, total, params):
        ``layers`` are the L costs of all copies of a layer, ``other`` is what stands beside stem,
        layers and heads (NDDR units, attention); stem, layers, heads and other add up to total.
        All numbers are integers.
    """
    table = table_from_cfg(cfg, **options)
    stems, copies, other = 1, [1] * table.num_layers, 0
    params = table.params.total(copies)
    if tree is not None:
        if 'encoder' not in cfg['model']:
            raise ValueError(f'model.type: {cfg["model"]["type"]} takes no branching tree')
        copies = list(tree.num_groups)
        if len(copies) != table.num_layers:
            raise ValueError(
                f'the branching tree has {len(copies)} layers, the network {table.num_layers}'
            )
        params = table.params.total(copies)
    elif 'encoder' in cfg['model'] and not _is_open(cfg):
        with torch.device('meta'):
            model = MODELS.build(without_weights(dict(cfg['model'], tasks=cfg['tasks'])))
        stems, copies = copies_of(model.encoder)
        convention = table.convention if table.unit == 'MAdds' else 'mac'
        counted = count_model(model, cfg['input_size'], convention)
        params = counted['params']
        if table.unit == 'MAdds':
            other = counted['madds'] - table.total(copies, stems)
        elif table.unit == 'params':
            other = params - table.total(copies, stems)
    return dict(
        unit=table.unit,
        convention=table.convention,
        input_size=list(table.input_size),
        stem=stems * table.stem,
        layers=[n * c for n, c in zip(copies, table.layers)],
        layer_names=list(table.layer_names),
        heads=dict(table.heads),
        other=other,
        total=table.total(copies, stems) + other,
        params=params,
    )


def readable(value: int, unit: str) -> str:
    """``15.7 GMAdds``: one decimal as in published tables, more below 1."""
    scale, name = SCALES[unit]
    scaled = value / scale
    return f'{scaled:.1f} {name}' if scaled >= 1 or not scaled else f'{scaled:.3g} {name}'


def report_text(report: Mapping[str, Any]) -> str:
    """The report as lines of text."""
    unit = report['unit']
    parts = [('stem', report['stem']), *zip(report['layer_names'], report['layers'])]
    parts += [(f'head {task}', cost) for task, cost in report['heads'].items()]
    if report['other']:
        parts.append(('other', report['other']))
    height, width = report['input_size']
    lines = [f'{"part":<20}{unit:>18}{"share":>8}']
    total = max(1, report['total'])
    lines += [f'{name:<20}{cost:>18,}{100 * cost / total:>7.1f}%' for name, cost in parts]
    lines.append(f'{"total":<20}{report["total"]:>18,}')
    lines.append(
        f'{readable(report["total"], unit)} ({report["convention"]} convention, {height}x{width}), '
        f'{report["params"] / 1e6:.3f} M parameters'
    )
    return '\n'.join(lines)


def table_row(name: str, cfg: Mapping[str, Any], **options: Any) -> list[str]:
    """Name, tasks, input, cost and parameters of one config; a range where the tree is open."""
    wanted = {**(cfg.get('resources') or {}), **options}
    if _is_open(cfg):
        table: ResourceTable = table_from_cfg(cfg, **{'counter': 'torch', **options})
        low, high = table.shared, table.separate
        few, many = table.params.shared, table.params.separate
        cost = f'{readable(low, table.unit).split()[0]} to {readable(high, table.unit)}'
        params = f'{few / 1e6:.3f} to {many / 1e6:.3f}'
    elif wanted.get('quantity', 'madds') == 'madds':
        # no need of the parts
        model = dict(cfg['model'], tasks=cfg['tasks'])
        counted = count_model(model, cfg['input_size'], wanted.get('convention', 'mac'))
        cost, params = readable(counted['madds'], 'MAdds'), f'{counted["params"] / 1e6:.3f}'
    else:
        report = cost_report(cfg, **options)
        cost, params = readable(report['total'], report['unit']), f'{report["params"] / 1e6:.3f}'
    height, width = cfg['input_size']
    return [name, str(len(cfg['tasks'])), f'{height}x{width}', cost, params]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in plain text, too."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ['| ' + ' | '.join(c.ljust(w) for c, w in zip(row, widths)) + ' |' for row in cells]
    lines.insert(1, '|' + '|'.join('-' * (w + 2) for w in widths) + '|')
    return '\n'.join(lines)
