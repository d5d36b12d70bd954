"""What plug-ins add to the program without being named by it."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType


def plug_in_arguments() -> list[ModuleType]:
    """Modules that add options to sub-commands (entry points ``bmtas.arguments``).

    Each has ``add(command, parser)`` and ``apply(args, cfg) -> cfg``. They are read without the
    packages around them, so that a command's help does not wait for torch.
    """
    return [_alone(entry.value) for entry in entry_points(group='bmtas.arguments')]


def _alone(name: str) -> ModuleType:
    """A module of a package, without running the ``__init__`` of the package's rooms."""
    top, *rest = name.split('.')
    folders = importlib.util.find_spec(top).submodule_search_locations
    files = [Path(folder, *rest).with_suffix('.py') for folder in folders]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        raise ModuleNotFoundError(f'entry point bmtas.arguments: there is no module {name}')
    spec = importlib.util.spec_from_file_location(f'{name}_alone', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
