"""Files: written whole or not at all, read with errors that name the file.

Every room writes and reads through here, so that a kill leaves no half-written file, and a file
that is missing, damaged or of another kind ends in one line.
"""

from __future__ import annotations

import difflib
import errno
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

_PART = re.compile(r'\.part-(\d+)-\d+(\..*)?')
_COUNTER = itertools.count()
_REASONS: Mapping[int, str] = {
    errno.ENOSPC: 'the disk is full; free some space or choose another folder',
    errno.EDQUOT: 'the disk quota is used up; free some space or choose another folder',
    errno.EFBIG: 'the file would be larger than the system allows',
    errno.EROFS: 'the file system is read-only; choose another folder',
    errno.EACCES: 'no permission; change it or choose another folder',
    errno.EPERM: 'no permission; change it or choose another folder',
    errno.EISDIR: 'it is a folder, a file is needed',
    errno.ENAMETOOLONG: 'the name is too long; choose a shorter one',
}


def nearest(word: Any, words: Iterable[Any]) -> str:
    """Hint that ends an error message: the nearest known word, or the known words."""
    known = sorted(map(str, words))
    near = difflib.get_close_matches(str(word), known, 1, 0.5)
    if near:
        return f'did you mean {near[0]!r}?'
    listed = ', '.join(known[:20]) + (', ...' if len(known) > 20 else '')
    return f'known: {listed}' if known else 'nothing is known here'


def cannot_write(path: str | Path, error: OSError) -> NoReturn:
    """Raise the system's error again with the file's name, the reason and a remedy."""
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        place = Path(error.filename or Path(path).parent)
        file = next((p for p in (place, *place.parents) if p.is_file()), place)
        reason = f'{file} is a file where a folder is needed'
    else:
        reason = _REASONS.get(error.errno, error.strerror or str(error))
    raise type(error)(f'{path}: cannot be written: {reason}') from error


@contextmanager
def writing_below(folder: str | Path) -> Iterator[None]:
    """For code of others that writes below a folder: errors of the system as ``cannot_write``."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:  # ours have a sentence and no number
            raise
        cannot_write(error.filename or folder, error)


def make_folder(path: str | Path) -> Path:
    """Create a folder and those above it; one that exists is fine."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cannot_write(path, error)
    return Path(path)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside a file, with its suffix; at the end it takes the file's place.

    A reader sees the old file or the new one, after a crash of the machine too: what was written is
    synchronised with the disk and renamed. After an exception the old file stands. Links are
    followed; what is no regular file (``/dev/null``, a pipe) is written to, not replaced.

    Raises:
        OSError: The file cannot be written; the message names it and the reason.
    """
    part = None
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, 'is a folder')
            yield target
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f'.part-{os.getpid()}-{next(_COUNTER)}{target.suffix}')
        yield part
        _synchronise(part)
        os.replace(part, target)
        _synchronise(target.parent)
    except OSError as error:
        if error.errno is None:  # raised with its own sentence
            raise
        cannot_write(path, error)
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot synchronise folders
            raise
    finally:
        os.close(handle)


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file of bytes, see ``atomic_path``."""
    with atomic_path(path) as part, open(part, 'wb') as stream:
        stream.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, see ``atomic_path``."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: Any, indent: int | None = 1) -> None:
    """Write a JSON file, see ``atomic_path``.

    Raises:
        ValueError: A number is not finite: JSON has no NaN; the message names its key.
    """
    try:
        text = json.dumps(content, indent=indent, allow_nan=False)
    except ValueError:
        key, value = next(_not_finite(content, ''))
        raise ValueError(f'{path}: not written, {key or "its value"} is {value}') from None
    write_text(path, text + '\n')


def _not_finite(content: Any, key: str) -> Iterator[tuple[str, float]]:
    if isinstance(content, float) and not math.isfinite(content):
        yield key, content
    items = content.items() if isinstance(content, Mapping) else ()
    if isinstance(content, (list, tuple)):
        items = enumerate(content)
    for name, value in items:
        yield from _not_finite(value, f'{key}.{name}' if key else str(name))


def append_line(path: str | Path, line: str) -> None:
    """Add a line to a text file; it is on the disk when this returns."""
    try:
        with open(path, 'a', encoding='utf-8') as stream:
            stream.write(line + '\n')
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        cannot_write(path, error)


def remove_leftovers(folder: str | Path) -> list[Path]:
    """Remove temporary files of processes that are gone, below a folder too; returns them."""
    removed = []
    for path in Path(folder).rglob('.part-*'):
        match = _PART.fullmatch(path.name)
        if match and not _runs(int(match[1])):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def read_text(path: str | Path, what: str = 'file') -> str:
    """A text file in UTF-8, with or without the mark that Windows puts in front.

    Args:
        path: The file.
        what: What it should be, for messages.

    Raises:
        FileNotFoundError, ValueError, OSError: Not there, not UTF-8, or not readable.
    """
    try:
        return Path(path).read_bytes().decode('utf-8-sig')
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f'{what} {path} does not exist') from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(
            f'{what} {path} is not UTF-8 text (byte 0x{byte:02x} at position {error.start}); '
            'save it as UTF-8'
        ) from None
    except OSError as error:
        reason = _REASONS.get(error.errno, error.strerror)
        raise type(error)(f'{what} {path} cannot be read: {reason}') from error


def read_json(path: str | Path, what: str = 'file') -> Any:
    """The content of a JSON file, read and refused as ``read_text`` does.

    Raises:
        ValueError: Not JSON, nested too deeply, or with numbers that are not finite.
    """
    text = read_text(path, what)
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError(f'{what} {path} is not JSON of ours: it is nested too deeply') from None
    except ValueError as error:
        raise ValueError(f'{what} {path} is not JSON: {error}') from None


@contextmanager
def meant_as(what: str, path: str | Path) -> Iterator[None]:
    """Whatever goes wrong inside, where the content of a file is taken apart, names the file.

    Raises:
        ValueError: The content is not that of ``what``.
    """
    try:
        yield
    except KeyError as error:
        raise ValueError(f'{what} {path}: key {error} is missing') from error
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        text = ' '.join(str(error).split())
        if isinstance(error, ValueError) and str(path) in text and text == str(error):
            raise
        raise ValueError(text if str(path) in text else f'{what} {path}: {text}') from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f'{text} is no finite number')
    return value
