"""Run a series of searches and trainings over a grid of options."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from bmtas.cli.base import ToolParser, add_job_arguments


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
    parser.add_argument('--amp', action='store_true', help='search, train and test in bfloat16')
    add_job_arguments(parser)
    parser.add_argument('--dry-run', action='store_true', help='list the points and stop')
    parser.add_argument('--point', metavar='DIR', help='run the point of this folder (for jobs)')
    args = parser.parse_args(argv)
    if (args.config is None) == (args.point is None):
        parser.error('give either CONFIG or --point DIR')
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from bmtas.apis import job_of, make_points, parse_grid, run_point
    from bmtas.engine import Template, find_config, make_executor, run_jobs
    from bmtas.evaluation import load_results

    if args.point:
        run_point(args.point)
        return
    path = find_config(args.config)
    work_dir = args.work_dir or Path('work_dirs/sweeps') / path.resolve().parent.name / path.stem
    extra = [*(['--data-root', args.data_root] if args.data_root else [])]
    extra += ['--amp'] if args.amp else []
    if args.baseline:  # found wrong now, not after the last training
        load_results(args.baseline)
    points = make_points(
        args.config,
        parse_grid(args.grid),
        work_dir,
        args.retrain,
        args.train_options,
        extra,
        args.baseline,
    )
    for number, point in enumerate(points, 1):
        state = 'finished' if point.is_finished() else 'to do'
        print(f'[{number}/{len(points)}] {point.name}: {state}', flush=True)
    if args.launcher_template:
        executor = Template(args.launcher_template, wait=False)
    else:
        executor = make_executor(args.jobs, args.executor)
    if args.dry_run:
        return
    failed, good = [], []
    for point in points:
        try:
            point.to_file()
            good.append(job_of(point))
        except ValueError as error:  # the other points are not lost
            failed.append(str(error))
    outcomes = run_jobs(good, executor)
    failed += [outcome.failure for outcome in outcomes.values() if outcome.failure]
    if failed:
        raise ValueError(f'{len(failed)} of {len(points)} points failed: {failed[0]}')
    if not args.launcher_template:
        print(f'compare them with: bmtas compare {shlex.quote(str(work_dir))}')
