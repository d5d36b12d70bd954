"""Find the thresholds of a network that shares computation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmtas.cli import ToolParser, add_config_arguments


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'calibrate',
        description='Find the thresholds below which a sub-task reuses what the base has computed, '
        'for every operator, on images of a split.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='network.pth of bmtas share')
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument('--elements', type=float, metavar='S', help='share of elements reused')
    goal.add_argument('--rows', type=float, metavar='S', help='share of rows (tokens) reused')
    goal.add_argument(
        '--budget', type=float, metavar='S', help="largest share of separate networks' MAdds"
    )
    goal.add_argument(
        '--drop', type=float, metavar='PERCENT', help='largest loss of a score, in percent'
    )
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='val')
    parser.add_argument('--images', type=int, default=64, metavar='N', help='images used')
    parser.add_argument('--out', metavar='FILE', required=True, help='file to write')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if args.images < 1:
        raise ValueError(f'--images: must be positive, got {args.images}')
    from bmtas.engine import config_from_args
    from bmtas.sharing.calibrate import calibrate

    goal = next(g for g in ('elements', 'rows', 'budget', 'drop') if getattr(args, g) is not None)
    cfg = config_from_args(args)
    found, facts = calibrate(
        cfg, args.checkpoint, goal, getattr(args, goal), args.split, args.images
    )
    found.save(args.out, **facts)
    madds = facts['madds']
    print(
        f'{args.out}: dense {madds["dense"] / 1e9:.4g}, effective {madds["effective"] / 1e9:.4g}, '
        f'executed {madds["executed"] / 1e9:.4g} GMAdds on {facts["images"]} images of '
        f'{args.split}; {sum(facts["latency_ms"].values()):.1f} ms for one image'
    )
    for task, share in facts['shares'].items():
        print(f'  {task:<14}reuses {100 * share:.1f} %, {facts["latency_ms"][task]:.1f} ms')
