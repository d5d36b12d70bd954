"""Boundary benchmark of a folder of predicted boundary maps: odsF, oisF and AP."""

import os
import sys
from pathlib import Path

from bmtas.cli.base import ToolParser
from bmtas.files import read_text, write_json

PROTOCOLS = ('bsds-raw', 'bsds-hed', 'pascal-seism', 'pascal-mti', 'nyud-seism', 'nyud-mti')
OPTIONS = ('tolerance', 'thresholds', 'truth', 'nms', 'interpolate')
FEW_IMAGES = 16
"""Up to here, starting processes takes longer than comparing."""


def parse_args(argv=None):
    parser = ToolParser(
        'boundaries',
        description=__doc__,
        epilog='Predictions are grey PNGs of 8 or 16 bits, NAME.png, of the size of their ground '
        'truth. Ground truths are NAME.mat (BSDS500, PASCAL-Context) or NAME.png.',
    )
    parser.add_argument('predictions', type=Path, metavar='PRED_DIR', help='predicted maps')
    parser.add_argument('truths', type=Path, metavar='GT_DIR', help='ground truths')
    parser.add_argument(
        '--protocol',
        choices=PROTOCOLS,
        help='a published protocol; the options below change parts of it. Default: all thresholds '
        'and no suppression, as pascal-mti. docs/boundaries.md has the sources',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        help='largest distance of a match as a fraction of the image diagonal: 0.0075 for BSDS500 '
        'and PASCAL-Context, 0.011 for NYUD-v2',
    )
    parser.add_argument('--thresholds', type=int, help='number of them, 99 or 101')
    parser.add_argument(
        '--truth',
        choices=('lines', 'segmentation'),
        help='what the ground truths hold: drawn boundaries, or regions',
    )
    parser.add_argument(
        '--nms', action='store_true', default=None, help='suppress non-maxima first'
    )
    parser.add_argument(
        '--interpolate',
        action='store_true',
        default=None,
        help='interpolate the best F between thresholds as the Berkeley benchmark does',
    )
    parser.add_argument(
        '--split', type=Path, metavar='FILE', help='names of the images to compare, one a line'
    )
    parser.add_argument(
        '--jobs', type=int, default=0, help='processes; 0 for one on each core if there is enough'
    )
    parser.add_argument('--out', type=Path, metavar='FILE', help='write all figures as JSON')
    args = parser.parse_args(argv)
    if args.jobs < 0:
        parser.error(f'--jobs must not be negative, got {args.jobs}')
    return args


def main(argv=None):
    """Compare, print the scores, write the figures."""
    args = parse_args(argv)
    from rich.console import Console
    from rich.progress import Progress

    from bmtas.evaluation.boundaries import find_pairs, make_protocol, run_benchmark
    from bmtas.jit import have_numba

    options = {name: getattr(args, name) for name in OPTIONS}
    protocol = make_protocol(args.protocol, **options)
    if args.out and not args.out.resolve().parent.is_dir():
        raise FileNotFoundError(f'--out {args.out}: its folder does not exist')
    pairs = find_pairs(args.predictions, args.truths, read_names(args.split))
    jobs = args.jobs or (1 if len(pairs) <= FEW_IMAGES else os.cpu_count())
    if not have_numba():
        print('numba is not installed: some 40 times slower than with it', file=sys.stderr)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task('comparing', total=len(pairs))
        scores, counts = run_benchmark(
            pairs, protocol, min(jobs, len(pairs)), lambda: progress.advance(bar)
        )
    threshold, recall, precision, f = scores.ods
    print(f'{len(pairs)} images, tolerance {protocol.tolerance}, {protocol.thresholds} thresholds')
    print('          F       P       R   threshold')
    print(f'ODS  {f:.4f}  {precision:.4f}  {recall:.4f}  {threshold:.3f}')
    print(f'OIS  {scores.ois[2]:.4f}  {scores.ois[1]:.4f}  {scores.ois[0]:.4f}')
    print(f'AP   {scores.ap:.4f}')
    if not any(image[:, 3].any() for image in counts.values()):
        lowest = scores.curve['threshold'][0]
        print(
            f'{args.predictions}: no prediction exceeds the lowest threshold {lowest:.3g}; are '
            'these maps of boundaries, 0 to 255 or 0 to 65535?',
            file=sys.stderr,
        )
    if args.out:
        write_json(args.out, report(protocol, scores, counts))


def read_names(path):
    """Names of a split file, None without one."""
    if path is None:
        return None
    if not path.is_file():
        raise FileNotFoundError(f'--split {path}: no such file')
    return read_text(path, 'split').split()


def report(protocol, scores, counts):
    """Everything measured, as plain lists."""
    from dataclasses import asdict

    from bmtas.evaluation.boundaries import recall_precision_f

    images = {}
    for name, image in counts.items():
        curve = recall_precision_f(image)
        best = int(curve[2].argmax())
        values = [scores.curve['threshold'][best], *(column[best] for column in curve)]
        images[name] = dict(zip(('threshold', 'recall', 'precision', 'f'), map(float, values)))
    return {
        'protocol': asdict(protocol),
        'ods': dict(zip(('threshold', 'recall', 'precision', 'f'), scores.ods)),
        'ois': dict(zip(('recall', 'precision', 'f'), scores.ois)),
        'ap': scores.ap,
        'curve': {key: values.tolist() for key, values in scores.curve.items()},
        'images': images,
    }
