"""Test a checkpoint and write results.json."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import ToolParser, add_config_arguments, add_run_arguments


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'test',
        description='Test a checkpoint: metrics of every task, cost of the network, Delta_m '
        'against single-task networks, and a sheet of predictions.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of bmtas train')
    parser.add_argument(
        '--baseline', metavar='FILE', help='results.json of single-task networks, for Delta_m'
    )
    parser.add_argument('--out', metavar='FILE', help='default: results.json in the work dir')
    parser.add_argument(
        '--sheet', type=int, default=6, metavar='N', help='images on the sheet of predictions'
    )
    parser.add_argument(
        '--constant',
        action='store_true',
        help='also score the best constant predictions of the training labels',
    )
    parser.add_argument(
        '--losses',
        action='store_true',
        help='also the mean loss of each task, from which bmtas compare finds how far scores '
        'follow losses',
    )
    parser.add_argument('--flip', action='store_true', help='average with the mirrored image')
    parser.add_argument(
        '--scales',
        type=float,
        nargs='+',
        metavar='S',
        help='average over these sizes of the image, e.g. 0.75 1 1.25',
    )
    add_run_arguments(parser, resume=False)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from bmtas.engine import config_from_args, run_test

    cfg = config_from_args(args)
    test_time = None
    if args.flip or args.scales:
        from bmtas.models import TestTime

        test_time = TestTime(args.flip, args.scales or (1.0,))
    options = (args.baseline, args.out, args.sheet, args.amp, args.constant)
    run_test(cfg, args.checkpoint, *options, args.losses, test_time)
