"""List the configs that come with bmtas, or copy some with all that they inherit."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bmtas.cli.base import ToolParser
from bmtas.files import write_bytes


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'configs',
        description='List the configs that come with bmtas: their names can be given in place of a '
        'file. --copy writes them, and all that they inherit, into a folder, to be changed there.',
    )
    parser.add_argument(
        'pattern', metavar='PATTERN', nargs='?', default='*', help='a word, or * and ?'
    )
    parser.add_argument('--copy', metavar='DIR', help='copy what matches; no file is overwritten')
    return parser.parse_args(argv)


def bases(path: Path) -> list[Path]:
    """The files that a config names in ``_base_``."""
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            found = ast.literal_eval(node.value)
            return [(path.parent / base).resolve() for base in ([found], found)[isinstance(
                found, (list, tuple))]]  # fmt: skip
    return []


def with_bases(paths: Iterable[Path]) -> list[Path]:
    """The files and all that they inherit, each once."""
    found: dict[Path, None] = {}
    waiting = [path.resolve() for path in paths]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = None
            waiting += bases(path)
    return sorted(found)


def copy(names: Sequence[str], folder: Path) -> list[Path]:
    """Copy shipped configs and what they inherit; returns the new files of the names.

    Raises:
        ValueError: A file exists with another content.
    """
    from bmtas.engine import CONFIGS

    root = CONFIGS.resolve()
    for path in with_bases(CONFIGS / f'{name}.py' for name in names):
        target = folder / path.relative_to(root)
        if target.exists():
            if target.read_bytes() != path.read_bytes():
                raise ValueError(f'{target}: exists already with another content; remove it first')
            continue
        write_bytes(target, path.read_bytes())
    return [folder / f'{name}.py' for name in names]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)
    from bmtas.engine import config_names

    names = config_names(args.pattern)
    if not names:
        raise ValueError(f'no config matches {args.pattern!r}; bmtas configs lists all')
    print('\n'.join(map(str, copy(names, Path(args.copy))) if args.copy else names))
