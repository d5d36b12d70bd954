"""Export a trained network to ONNX or to a torch.export program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bmtas.cli.base import ToolParser, add_overrides


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'export',
        description='Export a network. The file takes float32 RGB images, 0 to 255, and gives one '
        'map per task. The export is run and compared with the original before the tool ends.',
    )
    parser.add_argument('config', metavar='CONFIG', help='config of the network')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of bmtas train')
    parser.add_argument(
        '--format', required=True, choices=('onnx', 'torch-export'), help='kind of file'
    )
    parser.add_argument('--out', metavar='FILE', required=True, help='file to write')
    parser.add_argument(
        '--input-size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help="size of the images; by default the config's input_size",
    )
    parser.add_argument(
        '--task', action='append', metavar='NAME', help='export this task only; may be repeated'
    )
    parser.add_argument(
        '--dynamic', action='store_true', help='ONNX for batches and images of any size'
    )
    parser.add_argument(
        '--int8',
        type=int,
        metavar='N',
        help='ONNX: also write FILE.int8.onnx, its ranges measured on N training images, and the '
        'scores of both files on N test images',
    )
    parser.add_argument('--batch-size', type=int, default=1, metavar='N', help='images in a batch')
    add_overrides(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if args.batch_size < 1 or min(args.input_size or (32,)) < 32:
        raise ValueError('--batch-size must be positive and --input-size at least 32 pixels')
    from bmtas.apis import export, load_model

    cfg, model = load_model(args.config, args.checkpoint, args.cfg_options, 'cpu')
    size = args.input_size or cfg.get('input_size')
    if not size:
        raise ValueError(f'{args.config}: input_size: missing, give --input-size H W')
    if args.int8 is not None and args.format != 'onnx':
        raise ValueError('--int8 is for --format onnx')
    dynamic = args.dynamic or args.int8 is not None
    options = (size, args.batch_size, args.task, dynamic)
    differences = export(model, args.out, args.format, *options)
    shape = '(N, 3, H, W)' if dynamic else f'({args.batch_size}, 3, {size[0]}, {size[1]})'
    print(f'{args.out}: {args.format}, input {shape}')
    for name, value in differences.items():
        print(f'  {name:<14}differs from the original by at most {value:.2g}')
    if args.int8 is not None:
        _quantize(cfg, Path(args.out), args.int8)


def _quantize(cfg: Any, path: Path, count: int) -> None:
    """Write the file in eight bits and print the scores of both."""
    from bmtas.apis import to_eight_bits

    small, before, after = to_eight_bits(path, cfg, count)
    sizes = [file.stat().st_size / 1e6 for file in (path, small)]
    print(f'{small}: {sizes[1]:.2f} MB, {path.name}: {sizes[0]:.2f} MB')
    for name, value in before.items():
        print(f'  {name:<14}{value:.4g} in 32 bits, {after[name]:.4g} in 8 ({count} test images)')
