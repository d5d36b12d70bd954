"""Parse config files; those in YAML and JSON are data and run nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.fileio import YamlHandler
from mmengine.fileio.handlers.registry_utils import file_handlers

from bmtas.engine.shipped import CONFIGS
from bmtas.files import read_json, read_text


class SafeYaml(YamlHandler):
    """Reads data only; mmengine's runs what a tag asks for."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """The content."""
        return yaml.safe_load(file)


@contextmanager
def _data_only() -> Iterator[None]:
    """YAML files are read by ``SafeYaml`` for a while, the bases of Python configs, too."""
    kept = {key: file_handlers[key] for key in ('yaml', 'yml')}
    file_handlers.update(dict.fromkeys(kept, SafeYaml()))
    try:
        yield
    finally:
        file_handlers.update(kept)


def parse_config(path: Path) -> Config:
    """Parse a config file; every fault is one line that names the file."""
    if path.suffix == '.py':
        # mmengine reports a syntax error without the file's name
        try:
            ast.parse(read_text(path, 'config'))
        except SyntaxError as error:
            raise ValueError(f'{path}:{error.lineno}: {error.msg}') from error
    else:
        _check_data_config(path)
    try:
        with _data_only():
            cfg = Config.fromfile(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{path}: {error}') from error
    except Exception as error:
        text = ' '.join(str(error).split())
        raise ValueError(f'{path}: {type(error).__name__}: {text}') from error
    # a run writes its config five times, and yapf takes a second each; mmengine's own argument for
    # this is lost on the way
    object.__setattr__(cfg, '_format_python_code', False)
    return cfg


def _check_data_config(path: Path) -> None:
    """See that a YAML or JSON config and those that it inherits from are data and run nothing.

    A base in Python must be one that comes with bmtas, and so must a module that is imported, if
    the program has not imported it by itself.
    """
    if path.suffix not in ('.yaml', '.yml', '.json'):
        raise ValueError(f'config {path}: must be a .py, .yaml or .json file')
    try:
        content = (
            read_json(path, 'config')
            if path.suffix == '.json'
            else yaml.safe_load(read_text(path, 'config'))
        )
    except RecursionError:
        raise ValueError(f'config {path}: it is nested too deeply') from None
    except yaml.YAMLError as error:
        raise ValueError(f'config {path}: {" ".join(str(error).split())}') from None
    if not isinstance(content, dict):
        raise ValueError(f'config {path}: must hold keys and values, not {content!r:.60}')
    bases = content.get('_base_') or []
    for base in [bases] if isinstance(bases, str) else bases:
        source = (path.parent / str(base)).resolve()
        if source.suffix != '.py':
            _check_data_config(source)
        elif CONFIGS.resolve() not in source.parents:
            raise ValueError(
                f'config {path}: _base_ {base}: a data file may inherit Python only from the '
                f'configs of bmtas ({CONFIGS}); write it as a .py file'
            )
    imports = content.get('custom_imports') or {}
    modules = imports.get('imports', ()) if isinstance(imports, dict) else imports
    for module in [modules] if isinstance(modules, str) else modules:
        if str(module).split('.')[0] != 'bmtas' and str(module) not in sys.modules:
            raise ValueError(
                f'config {path}: custom_imports {module}: a data file may import modules of bmtas '
                'only; import this one in Python before, or write the config as a .py file'
            )
