"""Print the environment, for a report of a bug."""

from __future__ import annotations

from collections.abc import Sequence

from bmtas.cli.base import ToolParser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    ToolParser('env', description='Print versions, processors and GPUs.').parse_args(argv)
    from bmtas.engine import environment

    for name, value in environment().items():
        print(f'{name:<16}{value}')
