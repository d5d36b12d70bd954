"""Cut the network of one task, or of some, out of a routed network."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli import ToolParser, add_overrides


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'extract',
        description='Write DIR/config.py and DIR/model.pth: the network of some tasks of a routed '
        'one, cut out exactly, which test, infer, export and resources take like any other.',
    )
    parser.add_argument('config', metavar='CONFIG', help='config of the routed network')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of bmtas train')
    parser.add_argument('--tasks', nargs='+', required=True, metavar='TASK', help='tasks to keep')
    parser.add_argument('--fold', action='store_true', help='fold batch norms into convolutions')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder to write to')
    add_overrides(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from bmtas.task_routing.extract import CONFIG, WEIGHTS, extract

    found = extract(args.config, args.checkpoint, args.tasks, args.out, args.fold, args.cfg_options)
    print(f'{args.out}: {CONFIG} and {WEIGHTS} of {", ".join(args.tasks)}')
    for key, unit in (('madds', 'MAdds'), ('params', 'parameters'), ('latency', 'us')):
        before, after = found['before'][key], found['after'][key]
        print(f'  {unit:<12}{before:>16,} -> {after:>14,}  ({after / before:.3f})')
