"""Read every file of the data sets of a config and list what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import ToolParser, add_config_arguments
from bmtas.files import write_text


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'check',
        description='Check an unpacked data set: number of images, missing and unreadable files, '
        'sizes, ranges of the values. Lists all problems; exit code 1 if there are any.',
    )
    add_config_arguments(parser)
    parser.add_argument('--workers', type=int, default=2, help='processes that read')
    parser.add_argument('--report', metavar='FILE', help='also write the problems to a file')
    return parser.parse_args(argv)


def print_summary(console, dataset, summary) -> None:
    """Print the table of one split."""
    from rich.table import Table

    def text(sizes):
        return f'{min(sizes)}..{max(sizes)}'

    heights, widths = zip(*summary.sizes) if summary.sizes else ((0,), (0,))
    table = Table(
        title=f'{dataset.where}: {summary.images} images, height {text(heights)}, '
        f'width {text(widths)}',
        title_justify='left',
    )
    for column in ('label', 'kind', 'images', 'values', 'labelled', 'without any'):
        table.add_column(column, no_wrap=True)
    for name, label in summary.labels.items():
        table.add_row(
            name,
            str(dataset.kinds[name]),
            str(label['images']),
            f'{label["low"]:.4g}..{label["high"]:.4g}',
            f'{100 * label["share"] / label["images"]:.1f} %',
            str(label['unlabelled']),
        )
    console.print(table)


def check(dataset, workers: int, console) -> list[str]:
    """Read one split; returns its problems."""
    from rich.progress import Progress, TimeElapsedColumn

    from bmtas.datasets import DataSummary, check_size, check_whole, iterate_reports

    summary = DataSummary()
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(f'reading {dataset.split}', total=len(dataset))
        for report in iterate_reports(dataset, workers):
            summary.add(report)
            bar.advance(task)
    print_summary(console, dataset, summary)
    return check_size(dataset) + check_whole(dataset, summary) + summary.problems


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from rich.console import Console

    from bmtas.datasets import (
        MultiTaskDataset,
        MultiTaskFolder,
        check_disjoint,
        dataset_configs,
    )
    from bmtas.engine import load_config
    from bmtas.registry import DATASETS

    cfg = load_config(args.config, args.cfg_options, args.data_root, args.work_dir)
    console = Console(soft_wrap=True)
    datasets, problems = {}, []
    for config in dataset_configs(cfg):
        try:
            dataset = DATASETS.build(config)
        except (FileNotFoundError, ValueError) as error:
            problems.append(str(error))
            continue
        if isinstance(dataset, MultiTaskDataset):
            # a folder's split is read once, whatever else its configs differ in
            folder = isinstance(dataset, MultiTaskFolder)
            datasets[dataset.where if folder else repr(config)] = dataset
    if not datasets and not problems:
        raise ValueError(
            f'{args.config}: its data sets have no data_root, there is nothing to check'
        )
    for dataset in datasets.values():
        problems += check(dataset, args.workers, console)
    problems += check_disjoint(list(datasets.values()))
    for line in problems:
        console.print(line, highlight=False, markup=False)
    if args.report:
        write_text(args.report, ''.join(f'{line}\n' for line in problems))
    if problems:
        console.print(f'{len(problems)} problems')
        raise SystemExit(1)
    console.print(f'no problems in {len(datasets)} splits')
