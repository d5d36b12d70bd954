"""Search a branching tree, or what else the strategy of the config finds."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import (
    QUANTITIES,
    ToolParser,
    add_config_arguments,
    add_job_arguments,
    add_run_arguments,
)

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
    parser.add_argument(
        '--budget',
        metavar='B',
        help='largest cost of the whole network, e.g. 9.1G, 4M, 5ms, 120MB; on a finished search '
        'in the work dir its best tree for B is written at once',
    )
    parser.add_argument(
        '--quantity', choices=QUANTITIES, help='what the budget is of; default: the config, madds'
    )
    add_job_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    # imported late: --help and a mistyped option answer at once
    from bmtas.engine import config_from_args, make_executor
    from bmtas.search import run_search

    cfg = config_from_args(args)
    if args.budget is not None:
        cfg.budget = args.budget
    if args.quantity is not None:
        cfg.resources = dict(cfg.get('resources') or {}, quantity=args.quantity)
    run_search(cfg, make_executor(args.jobs, args.executor, args.launcher_template))
