"""What plug-ins add to the command line, found by entry points; nothing heavy is imported."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any


def plug_in_arguments() -> list[Any]:
    """Modules that add options to sub-commands (entry points ``bmtas.arguments``).

    Each has ``add(command, parser)`` and ``apply(args, cfg)``; the latter returns the config for
    the options that were given.
    """
    return [entry.load() for entry in entry_points(group='bmtas.arguments')]
