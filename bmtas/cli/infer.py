"""Run a trained network on images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from bmtas.cli.base import ToolParser, add_overrides


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'infer',
        description='Predict every task for images of any size, and for videos. Writes '
        'DIR/<task>/<image>.png in the format of the data sets, the same in colour to '
        'DIR/<task>_colour/ (for videos MP4 files), and image-level tasks to DIR/categories.csv '
        'and .json. Says how many images a second it predicts.',
    )
    parser.add_argument('config', metavar='CONFIG', help='config of the network')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of bmtas train')
    parser.add_argument(
        'images', metavar='IMAGE', nargs='*', help='files, folders, videos, patterns'
    )
    parser.add_argument('--out-dir', metavar='DIR', required=True, help='where to write')
    parser.add_argument('--overlay', action='store_true', help='also colours on the photo')
    parser.add_argument(
        '--side-by-side', action='store_true', help='also photo and colours of all tasks in a row'
    )
    parser.add_argument('--device', help='cpu, cuda, ...; by default a GPU if there is one')
    add_overrides(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if not args.images:
        raise ValueError('no images: name at least one file after CHECKPOINT')
    from bmtas.apis import Video, find_sources, infer_files, load_model
    from bmtas.progress import progress

    sources = find_sources(args.images)  # a mistyped name costs no loading of a network
    lengths = [Video.of(s.path).length if s.is_video else 1 for s in sources]
    _, model = load_model(args.config, args.checkpoint, args.cfg_options, args.device)
    results = infer_files(model, args.images, args.out_dir, args.overlay, args.side_by_side)
    done, first, start = 0, 0.0, time.perf_counter()
    for _ in progress(results, 'predicting', sum(lengths) or None):
        done += 1
        first = first or time.perf_counter() - start
    seconds = time.perf_counter() - start
    print(f'{done} images, {len(model.tasks)} tasks in {args.out_dir}')
    if done > 1:  # the first one pays for the start
        rate = (done - 1) / (seconds - first)
        print(f'{rate:.3g} images per second, reading and writing included')
