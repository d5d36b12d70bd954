"""Bring checkpoints of other programs: public BMTAS networks, DeepLab's ResNets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmtas.cli.base import ToolParser


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'convert',
        description='bmtas: a checkpoint.pth of the public BMTAS code becomes a checkpoint for '
        'bmtas test, with its tree beside it (its branch_config.json can be given to --branching '
        'as it is). deeplab: the ResNet of a DeepLabV3 checkpoint of torchvision or mmsegmentation '
        'becomes a file for model.encoder.backbone.weights.',
    )
    parser.add_argument('source', choices=('bmtas', 'deeplab'), help='whose checkpoint it is')
    parser.add_argument('checkpoint', metavar='FILE', help='the checkpoint')
    parser.add_argument('--out', required=True, metavar='FILE', help='file to write')
    parser.add_argument(
        '--config',
        default='branched/mobilenetv2_pascal',
        metavar='CONFIG',
        help='bmtas: config of a branched network of the same tasks',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    from bmtas.apis import convert_backbone, convert_bmtas

    if args.source == 'deeplab':
        print(f'{args.out}: {convert_backbone(args.checkpoint, args.out)} tensors')
        return
    from bmtas.engine import load_config

    tree = convert_bmtas(args.checkpoint, load_config(args.config), args.out)
    print(f'{args.out}, {args.out}.json:\n{tree}')
