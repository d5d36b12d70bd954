"""Time a tree's network against shared and single-task networks, torch and ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bmtas.cli.base import CONFIG_HELP, ToolParser, add_overrides


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'bench',
        description='Milliseconds of one image on this CPU: the network of a tree, one shared by '
        'all tasks, one for each task; with random weights, in turn.',
    )
    parser.add_argument('config', metavar='CONFIG', help=CONFIG_HELP)
    parser.add_argument('--branching', metavar='FILE', help='tree written by bmtas search')
    parser.add_argument('--input-size', type=int, nargs=2, metavar=('H', 'W'), help='pixels')
    parser.add_argument('--rounds', type=int, default=20, metavar='N', help='images, default 20')
    parser.add_argument('--threads', type=int, default=1, metavar='N', help='default 1')
    parser.add_argument('--onnx', action='store_true', help='also with ONNX Runtime')
    parser.add_argument('--json', action='store_true', help='print JSON')
    add_overrides(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    if min(args.rounds, args.threads, *(args.input_size or (32,))) < 1:
        raise ValueError('--rounds, --threads and --input-size must be positive')
    import torch

    from bmtas.apis import time_networks
    from bmtas.branching import BranchingTree
    from bmtas.engine import load_config, require

    torch.set_num_threads(args.threads)
    cfg = load_config(args.config, args.cfg_options)
    require(cfg, 'model', 'tasks')
    tree = BranchingTree.from_file(args.branching, list(cfg.tasks)) if args.branching else None
    rows = time_networks(cfg, tree, args.input_size, args.rounds, args.onnx)
    if args.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f'{row["name"]:<8}{row["runtime"]:<13}{row["ms"]:9.1f} ms   '
            f'{row["ratio"]:.2f} of the single-task networks'
        )
