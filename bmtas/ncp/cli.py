"""Look at network codes, export their records, read predictors of the public tool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmtas.cli import ToolParser

DATA_ROOT = 'data/nas_bench_mr'


def parse_args(argv: Sequence[str] | None):
    """Parse the command line."""
    parser = ToolParser(
        'ncp',
        description='Network codes: what one is and costs, the records of the benchmark as NPZ or '
        'JSON, predictors that the public tool of the paper trained. Predictors are trained by '
        'bmtas train configs/ncp/predictor_*.py, codes found by bmtas search.',
    )
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    code = commands.add_parser('code', help='all forms of a code and its exact cost')
    code.add_argument(
        'code', metavar='CODE', help='text, 27 numbers with commas, or the ncp.json of a search'
    )
    code.add_argument(
        '--input-size', type=int, nargs=2, default=(128, 128), metavar=('H', 'W'), help='pixels'
    )
    code.add_argument('--classes', type=int, metavar='N', help='default: 19, or 50 of an image')
    code.add_argument('--head', choices=('segmentation', 'classification'), default='segmentation')

    records = commands.add_parser('records', help='export records as NPZ or JSON')
    records.add_argument(
        'settings', nargs='+', metavar='SETTING', help='one, or several with the same codes'
    )
    records.add_argument('--out', required=True, metavar='FILE', help='FILE.npz or FILE.json')

    public = commands.add_parser('import', help='read a predictor of the public tool')
    public.add_argument('weights', metavar='FILE', help='its best_model.pth or last_model.pth')
    public.add_argument('--setting', required=True, help='setting it was trained on, e.g. seg')
    public.add_argument('--out', required=True, metavar='FILE', help='predictor.pth to write')
    for command in (records, public):
        command.add_argument(
            '--data-root', default=DATA_ROOT, metavar='DIR', help=f'default: {DATA_ROOT}'
        )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if args.command == 'code':
        from bmtas.ncp.report import code_text

        print(code_text(args.code, tuple(args.input_size), args.head, args.classes))
        return
    from bmtas.ncp.data import load_records, load_settings

    out = Path(args.out)
    if args.command == 'records':
        if out.suffix not in ('.npz', '.json'):
            raise ValueError(f'--out {out}: a name that ends in .npz or .json is needed')
        one = len(args.settings) == 1
        table = (
            load_records(args.data_root, args.settings[0])
            if one
            else load_settings(args.data_root, args.settings)
        )
        (table.to_npz if out.suffix == '.npz' else table.to_json)(out)
        print(f'{len(table)} records in {out}: codes, {", ".join(table.columns)}')
        return
    from bmtas.ncp.public import import_public_predictor

    table = load_records(args.data_root, args.setting)
    model = import_public_predictor(args.weights, table, args.setting)
    model.export(out)
    print(f'predictor of {", ".join(model.names)} in {out}')
