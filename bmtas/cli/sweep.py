"""Run a series of searches and trainings over a grid of options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bmtas.cli.base import ToolParser


def parse_args(argv: Sequence[str] | None):
    """Parse the command line."""
    parser = ToolParser(
        'sweep',
        description='Search (if CONFIG is a search), train and test every point of a grid, each in '
        'a folder of its own. Started again it goes on where it was and skips finished points.',
        epilog='Example: bmtas sweep bmtas/mobilenetv2_shapescenes --retrain '
        'branched/mobilenetv2_shapescenes --grid lambda=0.5,5 seed=0,1',
    )
    parser.add_argument(
        'config', metavar='CONFIG', nargs='?', help='config of a search or training'
    )
    parser.add_argument(
        '--grid',
        nargs='+',
        default=[],
        metavar='KEY=V1,V2',
        help='values of options of CONFIG; lambda and seed are short for '
        'search.resource_loss.weight and randomness.seed. The seed goes to the training, too',
    )
    parser.add_argument('--retrain', metavar='CONFIG', help='config that trains the trees found')
    parser.add_argument(
        '--train-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='options of the training',
    )
    parser.add_argument('--work-dir', metavar='DIR', help='default: work_dirs/sweeps/METHOD/CONFIG')
    parser.add_argument('--data-root', metavar='DIR', help='folder of the data set')
    parser.add_argument('--baseline', metavar='FILE', help='results.json of single-task networks')
    parser.add_argument('--amp', action='store_true', help='train in bfloat16')
    parser.add_argument(
        '--launcher-template',
        metavar='COMMAND',
        help='start one job per point in place of running them here, e.g. '
        '"sbatch --job-name={name} --gres=gpu:1 --output={folder}/slurm.log --wrap={command}"',
    )
    parser.add_argument('--dry-run', action='store_true', help='list the points and stop')
    parser.add_argument('--point', metavar='DIR', help='run the point of this folder (for jobs)')
    args = parser.parse_args(argv)
    if (args.config is None) == (args.point is None):
        parser.error('give either CONFIG or --point DIR')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from bmtas.apis.sweep import launch, make_points, parse_grid, run_point
    from bmtas.engine.shipped import find_config

    if args.point:
        run_point(args.point)
        return
    path = find_config(args.config)
    work_dir = args.work_dir or Path('work_dirs/sweeps') / path.resolve().parent.name / path.stem
    extra = [*(['--data-root', args.data_root] if args.data_root else [])]
    extra += ['--amp'] if args.amp else []
    points = make_points(
        args.config,
        parse_grid(args.grid),
        work_dir,
        args.retrain,
        args.train_options,
        extra,
        args.baseline,
    )
    failed = []
    for number, point in enumerate(points, 1):
        finished = point.is_finished()
        print(f'[{number}/{len(points)}] {point.name}: {"finished" if finished else "to do"}',
              flush=True)  # fmt: skip
        if args.dry_run:
            continue
        try:
            point.to_file()
            if finished:
                continue
            if args.launcher_template:
                print(f'  {launch(point, args.launcher_template)}', flush=True)
            else:
                run_point(point.folder)
        except (ValueError, OSError) as error:
            # the other points are not lost
            failed.append(str(error))
            print(f'  failed: {error}', file=sys.stderr, flush=True)
    if failed:
        raise ValueError(f'{len(failed)} of {len(points)} points failed: {failed[0]}')
    if not args.dry_run and not args.launcher_template:
        print(f'compare them with: bmtas compare {work_dir}')
