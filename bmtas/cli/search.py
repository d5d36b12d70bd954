"""Search a branching tree, or what else the strategy of the config finds."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import ToolParser, add_config_arguments, add_run_arguments

RESUME = 'start again with --resume to go on'


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'search',
        description='Search which tasks share which encoder layers. The config says how: by '
        'gradients on a supergraph, or by the strategy named in its key "search". Writes '
        'branching.json, resources.json and pictures to the work dir. The configs '
        'configs/ncp/propagate_*.py search a network code instead and write ncp.json.',
    )
    add_config_arguments(parser)
    add_run_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    # imported late: --help and a mistyped option answer at once
    from bmtas.engine.build import config_from_args
    from bmtas.engine.searching import run_gradient_search, run_strategy

    cfg = config_from_args(args)
    if cfg.get('search'):
        run_strategy(cfg)
    else:
        run_gradient_search(cfg)
