"""Train a multi-task network, e.g. along a tree that bmtas search found."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import ToolParser, add_config_arguments, add_run_arguments

RESUME = 'start again with --resume to go on'


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'train', description='Train a multi-task network. Writes checkpoints and logs.'
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--branching', metavar='FILE', help='tree of a branched network, written by bmtas search'
    )
    add_run_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from bmtas.engine import config_from_args, run_training

    cfg = config_from_args(args)
    runner = run_training(cfg, args.branching)
    runner.logger.info(f'done: checkpoints and logs in {cfg.work_dir}')
