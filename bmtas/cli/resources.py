"""What a network costs: multiply-adds, parameters, memory or time of each part."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from bmtas.cli.base import CONFIG_HELP, QUANTITIES, ToolParser, add_overrides

HEADER = ('config', 'tasks', 'input', 'cost', 'params (M)')


def parse_args(argv: Sequence[str] | None):
    """Parse the command line."""
    parser = ToolParser(
        'resources',
        description='Cost of the network of a config, part by part. A search config without '
        '--branching gives the costs of one copy of each layer.',
    )
    parser.add_argument('config', metavar='CONFIG', nargs='?', help=CONFIG_HELP)
    parser.add_argument('--branching', metavar='FILE', help='tree written by bmtas search')
    parser.add_argument(
        '--convention',
        choices=('mac', 'paper'),
        help='mac: multiply-accumulates of convolutions, linear layers and products; paper: half '
        'of all multiplications and additions, pooling included. Default: the config, or mac',
    )
    parser.add_argument(
        '--quantity',
        choices=QUANTITIES,
        help='activations: bytes that training keeps per image. Default: the config, or madds',
    )
    parser.add_argument(
        '--device',
        help='where latency is measured: cpu, cuda, onnxruntime. Default: the config, or cpu',
    )
    parser.add_argument('--json', action='store_true', help='print JSON with integers')
    parser.add_argument(
        '--table',
        nargs='*',
        metavar='CONFIG',
        help='compare these configs, or all of configs/, in a Markdown table',
    )
    add_overrides(parser)
    args = parser.parse_args(argv)
    if args.config is None and args.table is None:
        parser.error('CONFIG or --table is needed')
    return args


def print_table(args, options: dict) -> None:
    """One row for each config."""
    from bmtas.engine import config_names, find_config, load_config
    from bmtas.resources import markdown, table_row

    shipped = not args.table and args.config is None
    given = ([args.config] if args.config else []) + (args.table or [])
    rows = []
    for path in map(find_config, config_names() if shipped else given):
        cfg = load_config(path, args.cfg_options)
        if not shipped:
            _require_network(cfg)
        if _has_network(cfg):
            name = f'{path.resolve().parent.name}/{path.stem}'
            print(f'counting {name}', file=sys.stderr)
            rows.append(table_row(name, cfg, **options))
    print(markdown(HEADER, rows))


def _has_network(cfg) -> bool:
    model = cfg.get('model') or {}
    return ('encoder' in model or 'backbone' in model) and 'input_size' in cfg


def _require_network(cfg) -> None:
    if not _has_network(cfg):
        raise ValueError(
            f'{cfg.filename}: model.encoder (or backbone) and input_size: missing, nothing to count'
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    keys = ('convention', 'quantity', 'device')
    options = {key: getattr(args, key) for key in keys if getattr(args, key)}
    if args.device not in (None, 'onnxruntime'):
        from bmtas.resources import usable_device

        usable_device(args.device)  # also where nothing is timed
    if args.table is not None:
        print_table(args, options)
        return
    from bmtas.branching import BranchingTree
    from bmtas.engine import load_config, require
    from bmtas.resources import cost_report, report_text

    cfg = load_config(args.config, args.cfg_options)
    _require_network(cfg)
    tree = None
    if args.branching:
        require(cfg, 'tasks')
        tree = BranchingTree.from_file(args.branching, list(cfg.tasks))
    report = cost_report(cfg, tree, **options)
    print(json.dumps(report) if args.json else report_text(report))
