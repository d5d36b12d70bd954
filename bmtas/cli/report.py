"""Write one HTML file about some runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmtas.cli.base import ToolParser


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'report',
        description='Write a self-contained HTML file about searches and tests: results.json as a '
        'table, trees, alpha, curves, sheets of predictions.',
    )
    parser.add_argument('work_dirs', metavar='WORK_DIR', nargs='*', help='searched with subfolders')
    parser.add_argument('--out', metavar='FILE', required=True, help='HTML file to write')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if not args.work_dirs:
        raise ValueError('no work dirs: name at least one')
    from bmtas.apis.reports import report

    print(report(args.work_dirs, args.out))
