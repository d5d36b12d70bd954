"""The command ``bmtas``: a sub-command for everything that the program does.

Each sub-command is a module here with ``main(argv)``; the first line of its docstring is its help.
Plug-ins bring their own by the entry-point group ``bmtas.commands`` (name = module:function), and
the first line of that module is the help.
Nothing heavy is imported before a sub-command runs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Any

from bmtas import __version__
from bmtas.plug_ins import summary

from .base import ToolParser, add_config_arguments, add_overrides, add_run_arguments, run_tool

__all__ = [
    'COMMANDS',
    'ToolParser',
    'add_config_arguments',
    'add_overrides',
    'add_run_arguments',
    'help_text',
    'main',
    'run',
]
COMMANDS = (
    *('search', 'train', 'test', 'infer', 'export', 'resources', 'report', 'compare', 'sweep'),
    *('bench', 'demo', 'configs', 'check', 'prepare', 'convert', 'boundaries', 'env'),
)
"""Modules of this package, in the order of the help."""
GROUP = 'bmtas.commands'


def plug_in_commands() -> dict[str, Any]:
    """Entry points of other packages by the name of their sub-command."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in COMMANDS}


def help_text() -> str:
    """What ``bmtas --help`` prints."""
    rows = [(name, _module(name).__doc__.split('\n')[0]) for name in COMMANDS]
    rows += [(n, summary(e.value.split(':')[0])) for n, e in plug_in_commands().items()]
    lines = [f'  {name:<12}{text}' for name, text in rows]
    return '\n'.join(
        [
            'usage: bmtas COMMAND ... | --version | --help\n',
            'Find, train, compare and ship resource-efficient multi-task vision networks.\n',
            *lines,
            '\nbmtas COMMAND --help tells more. A CONFIG is a file, or a name that bmtas configs '
            'lists.',
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ('-h', '--help'):
        print(help_text())
        return 0 if words else 2
    if words[0] == '--version':
        print(f'bmtas {__version__}')
        return 0
    return run(words[0], words[1:])


def run(name: str, argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        name: One of ``COMMANDS``, or a plug-in's.
        argv: Its arguments; those of the process by default.

    Returns:
        The exit code, see ``run_tool``.
    """
    found, resume = _find(name)
    return run_tool(found, argv, resume)


def _module(name: str) -> Any:
    return importlib.import_module(f'{__name__}.{name}')


def _find(name: str) -> tuple[Callable[[Sequence[str] | None], Any], str]:
    """The main function of a sub-command, and how to go on after an interruption."""
    if name in COMMANDS:
        module = _module(name)
        return module.main, getattr(module, 'RESUME', '')
    plug_ins = plug_in_commands()
    if name in plug_ins:
        return plug_ins[name].load(), ''

    def unknown(argv: Sequence[str] | None) -> None:
        from bmtas.files import nearest

        hint = nearest(name, [*COMMANDS, *plug_ins])
        raise ValueError(f'there is no command {name!r}; {hint} (see bmtas --help)')

    return unknown, ''
