"""Errors of parts that are built from a config name the config and the key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_STARTS_WITH_KEY = re.compile(r'(\w+)(\.[\w.]+)?: ')


@contextmanager
def building(cfg: Mapping[str, Any], key: str) -> Iterator[None]:
    """What goes wrong inside is the fault of a value below a key of a config.

    Missing files keep their class; what the machine lacks is nobody's fault here.

    Raises:
        ValueError, FileNotFoundError: ``<file>: <key>: <what the part says>``.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        text, file = ' '.join(str(text).split()), str(getattr(cfg, 'filename', None) or 'config')
        if getattr(error, 'errno', None) or 'out of memory' in text or text.startswith(file):
            raise
        found = _STARTS_WITH_KEY.match(text)
        if not (found and found[1] in cfg):
            text = f'{key}: {text or type(error).__name__}'
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f'{file}: {text}') from error
