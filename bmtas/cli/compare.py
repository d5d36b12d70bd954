"""Compare finished runs: a table, a CSV file, a picture of gain against cost."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import ToolParser


def parse_args(argv: Sequence[str] | None):
    """Parse the command line."""
    parser = ToolParser(
        'compare',
        description='Compare the results.json of finished runs. Runs whose folders differ only in '
        'a part like seed0 are one row, mean and deviation. Prints Markdown; an asterisk marks '
        'the Pareto front of cost and Delta_m.',
    )
    parser.add_argument(
        'work_dirs',
        nargs='+',
        metavar='[NAME=]WORK_DIR',
        help='folders of runs, searched through, or patterns of folders in quotes; all runs of one '
        'name are one row, e.g. "Permutations=work/seed*/permutation_*"',
    )
    parser.add_argument(
        '--baseline',
        metavar='FILE',
        help='results.json of single-task networks; else the mean of the runs of method "single"',
    )
    parser.add_argument('--out', metavar='FILE.md', help='write the table')
    parser.add_argument('--csv', metavar='FILE.csv', help='write the figures in full precision')
    parser.add_argument('--plot', metavar='FILE.png', help='draw Delta_m against the cost')
    parser.add_argument(
        '--cost',
        choices=('madds', 'params', 'madds_one_task', 'madds_effective', 'stored', 'latency_ms'),
        default='madds',
        help='what gains are set against: multiply-adds of all tasks, parameters, multiply-adds of '
        'one task alone (mean over tasks), effective ones, bytes stored, or latency (both of '
        'networks that share computation)',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from bmtas.apis import (
        COSTS,
        comparison_csv,
        comparison_table,
        on_front,
        read_entries,
    )
    from bmtas.evaluation import elasticities, elasticity_lines
    from bmtas.files import write_text

    entries, _ = read_entries(args.work_dirs, args.baseline)
    table = comparison_table(entries, args.cost)
    print(table)
    found = elasticities([run for entry in entries for run in entry.runs])
    if found:
        print(f'\n{elasticity_lines(found)}')
    for path, text in ((args.out, table + '\n'), (args.csv, comparison_csv(entries))):
        if path:
            write_text(path, text)
    if args.plot:
        from bmtas.visualization import draw_comparison

        points = [
            dict(
                name=entry.name,
                method=entry.method,
                cost=entry.value(args.cost).mean,
                cost_std=entry.value(args.cost).deviation,
                delta_m=entry.delta_m.mean,
                delta_m_std=entry.delta_m.deviation,
            )
            for entry in entries
            if entry.delta_m is not None
        ]
        front = [entry.name for entry in on_front(entries, args.cost)]
        draw_comparison(points, front, args.plot, *COSTS[args.cost])
