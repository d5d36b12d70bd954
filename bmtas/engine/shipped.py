"""The configs that come with bmtas, found by name from any folder."""

from __future__ import annotations

import difflib
import fnmatch
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# inside an installed package; beside the package in a checkout
CONFIGS = next(p for p in (_PACKAGE / 'configs', _PACKAGE.parent / 'configs') if p.is_dir())


def config_names(pattern: str = '*') -> list[str]:
    """Names of the experiments that match a pattern, such as ``shared/mobilenetv2_shapescenes``.

    Args:
        pattern: ``*`` and ``?`` as in a shell; a plain word matches anywhere in a name.
    """
    if not any(letter in pattern for letter in '*?['):
        pattern = f'*{pattern}*'
    names = (path.relative_to(CONFIGS).with_suffix('').as_posix() for path in CONFIGS.rglob('*.py'))
    shown = (n for n in names if not any(part[0] == '_' for part in n.split('/')))
    return sorted(n for n in shown if fnmatch.fnmatchcase(n, pattern))


def find_config(path: str | Path) -> Path:
    """The file of a config, which is a path or the name of a shipped one.

    ``shared/mobilenetv2_shapescenes`` and ``configs/shared/mobilenetv2_shapescenes.py`` name the
    same shipped file where the current folder has none of that name.

    Raises:
        FileNotFoundError: Neither; the message has the nearest name.
    """
    path = Path(path)
    if path.is_file():
        return path
    name = path.as_posix().removeprefix('configs/').removesuffix('.py')
    shipped = CONFIGS / f'{name}.py'
    if not path.is_absolute() and shipped.is_file():
        return shipped
    near = difflib.get_close_matches(name, config_names(), 1, 0.6)
    hint = f'; did you mean {near[0]!r}?' if near else '; bmtas configs lists those that ship'
    raise FileNotFoundError(f'config {path} does not exist{hint}')
