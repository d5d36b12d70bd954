"""What one config's network costs, part by part, as data, as text and as a row of a table."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from typing import Any

from bmtas.registry import MODELS
from bmtas.resources.build import Counter, count_model, count_run, how_counted, table_from_cfg
from bmtas.resources.counting import check_convention
from bmtas.resources.network import Network, is_open
from bmtas.resources.parts import STEM
from bmtas.resources.units import UNITS, Unit, get_unit, unit_named


def cost_report(cfg: Mapping[str, Any], tree: Any = None, **options: Any) -> dict[str, Any]:
    """Cost of the network of a config.

    Args:
        cfg: Complete config with ``model``, ``tasks`` and ``input_size``.
        tree: A BranchingTree for a config that leaves it open. Without one the report is that of
            the shared network, one copy of each layer: the table a search starts from.
        options: Arguments of ``count_table``: convention, quantity, device.

    Returns:
        dict(unit, convention, input_size, stem, layers, layer_names, heads, other, total, params,
        more): ``layers`` are the L costs of all copies of a layer, ``other`` is what stands beside
        stem, layers and heads (NDDR units, attention); stem, layers, heads and other add up to
        total; ``more`` is what the encoder's ``costs`` say. All numbers are integers.
    """
    if tree is None and not is_open(cfg['model']):
        return _report_of_network(cfg, **{**(cfg.get('resources') or {}), **options})
    encoder = cfg['model']['encoder']
    if tree is not None:
        MODELS.get(encoder['type']).config_of_tree(encoder, tree)  # raises where there is none
    table = table_from_cfg(cfg, **options)
    copies = [1] * table.num_layers if tree is None else list(tree.num_groups)
    if len(copies) != table.num_layers:
        raise ValueError(
            f'the branching tree has {len(copies)} layers, the network {table.num_layers}'
        )
    return dict(
        unit=table.unit,
        convention=table.convention,
        input_size=list(table.input_size),
        stem=table.stem,
        layers=[n * c for n, c in zip(copies, table.layers)],
        layer_names=list(table.layer_names),
        heads=dict(table.heads),
        other=0,
        total=table.total(copies),
        params=table.params.total(copies),
        more={},
    )


def _report_of_network(
    cfg: Mapping[str, Any], convention: str = 'mac', quantity: str = 'madds', device: str = 'cpu'
) -> dict[str, Any]:
    """The report of a network that leaves nothing open, whatever its encoder consists of."""
    check_convention(convention)
    unit, size = get_unit(quantity), cfg['input_size']
    network = Network.of(dict(cfg['model'], tasks=cfg['tasks']), size)
    counter = Counter(unit, how_counted(unit, convention, device))
    by_layer = dict.fromkeys((None, STEM, *range(len(network.layer_names))), 0)
    for call in network.encoder:
        by_layer[call.part.layer] += counter.all(call)
    heads = {name: counter.all(call) for name, call in network.heads.items()}
    other, stem = by_layer.pop(None), by_layer.pop(STEM)
    known = stem + sum(by_layer.values()) + sum(heads.values())
    whole = count_run(network.model, size, convention)
    more = network.model.encoder.costs(network.model.heads, size, convention)
    if quantity in whole:  # exact, functional operators between the parts included
        other = whole[quantity] - known
    elif not unit.additive:
        other = max(other, counter.whole(network) - known)
    return dict(
        unit=unit.name,
        convention=counter.how,
        input_size=[int(n) for n in size],
        stem=stem,
        layers=list(by_layer.values()),
        layer_names=list(network.layer_names),
        heads=heads,
        other=other,
        total=known + other,
        params=whole['params'],
        more=more,
    )


def report_text(report: Mapping[str, Any]) -> str:
    """The report as lines of text."""
    unit = report['unit']
    parts = [('stem', report['stem']), *zip(report['layer_names'], report['layers'])]
    parts += _heads(report['heads'])
    if report['other']:
        parts.append(('other', report['other']))
    height, width = report['input_size']
    lines = [f'{"part":<20}{unit:>18}{"share":>8}']
    total = max(1, report['total'])
    lines += [f'{name:<20}{cost:>18,}{100 * cost / total:>7.1f}%' for name, cost in parts]
    lines.append(f'{"total":<20}{report["total"]:>18,}')
    whole, params = unit_named(unit).readable(report['total']), UNITS['params']
    lines.append(
        f'{whole} ({report["convention"]} convention, {height}x{width}), '
        f'{report["params"] / params.scale:.3f} {params.label}'
    )
    return '\n'.join([*lines, *map(_more_text, report['more'].items())])


def _heads(heads: Mapping[str, int]) -> list[tuple[str, int]]:
    """Name and cost of each head; of more than 12 those of one cost together."""
    count, lines = Counts(heads.values() if len(heads) > 12 else ()), {}
    for task, cost in heads.items():
        alone = count[cost] < 2
        name = f'head {task}' if alone else f'{count[cost]} heads of {cost:,}'
        lines[name] = cost if alone else count[cost] * cost
    return list(lines.items())


def _more_text(item: tuple[str, Any]) -> str:
    """A line on a further cost; of costs by task the least, the mean and the most."""
    key, value = item
    if not isinstance(value, Mapping):
        return f'{key:<20}{value:>18,}'
    low, high = min(value, key=value.get), max(value, key=value.get)
    mean = round(sum(value.values()) / len(value))
    return f'{key:<20}{mean:>18,}  ({value[low]:,} {low} to {value[high]:,} {high})'


def table_row(name: str, cfg: Mapping[str, Any], **options: Any) -> list[str]:
    """Name, tasks, input, cost and parameters of one config; a range where the tree is open."""
    wanted = {**(cfg.get('resources') or {}), **options}
    unit, params = get_unit(wanted.get('quantity', 'madds')), UNITS['params']
    if is_open(cfg['model']):
        table = table_from_cfg(cfg, **options)
        cost = _range(unit, table.shared, table.separate)
        size = _range(params, table.params.shared, table.params.separate)
    elif unit.quantity == 'madds':
        # no need of the parts
        model = dict(cfg['model'], tasks=cfg['tasks'])
        counted = count_model(model, cfg['input_size'], wanted.get('convention', 'mac'))
        cost, size = unit.readable(counted['madds']), f'{counted["params"] / params.scale:.3f}'
    else:
        report = cost_report(cfg, **options)
        cost, size = unit.readable(report['total']), f'{report["params"] / params.scale:.3f}'
    height, width = cfg['input_size']
    return [name, str(len(cfg['tasks'])), f'{height}x{width}', cost, size]


def _range(unit: Unit, low: int, high: int) -> str:
    if unit.quantity == 'params':  # its column has a title that names the unit
        return f'{low / unit.scale:.3f} to {high / unit.scale:.3f}'
    return f'{unit.readable(low).split()[0]} to {unit.readable(high)}'


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in plain text, too."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ['| ' + ' | '.join(c.ljust(w) for c, w in zip(row, widths)) + ' |' for row in cells]
    lines.insert(1, '|' + '|'.join('-' * (w + 2) for w in widths) + '|')
    return '\n'.join(lines)
