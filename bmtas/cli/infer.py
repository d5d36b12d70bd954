"""Run a trained network on images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmtas.cli.base import Options, ToolParser


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'infer',
        description='Predict every task for images of any size. Writes DIR/<task>/<image>.png in '
        'the format of the data sets, and the same in colour to DIR/<task>_colour/.',
    )
    parser.add_argument('config', metavar='CONFIG', help='config of the network')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of bmtas train')
    parser.add_argument('images', metavar='IMAGE', nargs='*', help='image files')
    parser.add_argument('--out-dir', metavar='DIR', required=True, help='where to write')
    parser.add_argument('--device', help='cpu, cuda, ...; by default a GPU if there is one')
    parser.add_argument(
        '--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE', help='override the config'
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if not args.images:
        raise ValueError('no images: name at least one file after CHECKPOINT')
    from bmtas.apis.inference import infer_files, load_model
    from bmtas.search.context import progress

    _, model = load_model(args.config, args.checkpoint, args.cfg_options, args.device)
    results = infer_files(model, args.images, args.out_dir)
    for _ in progress(results, 'predicting', len(args.images)):
        pass
    print(f'{len(args.images)} images, maps of {len(model.tasks)} tasks in {args.out_dir}')
