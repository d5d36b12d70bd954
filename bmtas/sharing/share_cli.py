"""Train a base task and sub-tasks that share its computation, stage by stage, and test them."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli import ToolParser, add_config_arguments, add_run_arguments


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'share',
        description='Train the base task, then each sub-task as a small delta of it; join them to '
        'network.pth, write deltas/TASK.delta and results.json. Finished stages are skipped.',
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--tasks', nargs='+', metavar='TASK', help='sub-tasks to train; all by default'
    )
    parser.add_argument(
        '--add',
        nargs='+',
        metavar='FILE',
        default=(),
        help='deltas that were trained elsewhere on the same base; without --tasks nothing is '
        'trained',
    )
    parser.add_argument('--half', action='store_true', help='write new deltas in float16')
    parser.add_argument(
        '--sheet', type=int, default=6, metavar='N', help='images on the sheet of predictions'
    )
    add_run_arguments(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from bmtas.engine import config_from_args
    from bmtas.sharing.share import share

    share(config_from_args(args), args.tasks, args.resume, args.sheet, args.add, args.half)
