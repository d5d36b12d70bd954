"""What plug-ins add to the program without being named by it."""

from __future__ import annotations

import ast
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


def summary(name: str) -> str:
    """First line of the docstring of a module, read from its file: nothing is imported."""
    try:
        source = _file(name).read_text(encoding='utf-8')
    except ModuleNotFoundError as error:
        return str(error)
    return (ast.get_docstring(ast.parse(source)) or '').split('\n')[0]


def _alone(name: str) -> ModuleType:
    """A module of a package, without running the ``__init__`` of the package's rooms."""
    spec = importlib.util.spec_from_file_location(f'{name}_alone', _file(name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _file(name: str) -> Path:
    top, *rest = name.split('.')
    place = importlib.util.find_spec(top)
    if place is not None and not rest:
        return Path(place.origin)
    folders = [] if place is None else place.submodule_search_locations or []
    files = [Path(folder, *rest) for folder in folders]
    files = [file for path in files for file in (path.with_suffix('.py'), path / '__init__.py')]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise ModuleNotFoundError(f'entry point of a plug-in: there is no module {name}')
    return found
