"""Search a branching tree, or what else the strategy of the config finds."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import ToolParser, add_config_arguments, add_run_arguments

RESUME = 'start again with --resume to go on'


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'search',
        description='Search which tasks share which encoder layers, by the strategy that the '
        'config names in its key "search". Writes branching.json, resources.json and pictures to '
        'the work dir; strategies of plug-ins may search and write something else.',
    )
    add_config_arguments(parser)
    add_run_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    # imported late: --help and a mistyped option answer at once
    from bmtas.engine.build import config_from_args
    from bmtas.search import run_search

    run_search(config_from_args(args))
