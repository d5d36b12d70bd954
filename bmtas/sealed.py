"""Checkpoints: files of ``torch.save`` with a checksum, loaded without trusting a pickle."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bmtas.files import write_bytes

# torch.save writes a zip file, which may end with a comment; ours is the checksum of the rest
_SEAL = b'bmtas sha256 '
_SEAL_SIZE = len(_SEAL) + 64
_END = b'PK\x05\x06'  # the last record of a zip file, 22 bytes and the comment


def seal(content: bytes | memoryview) -> bytes:
    """The bytes of a file of ``torch.save`` with their checksum in the zip file's comment."""
    content = bytes(content)
    if content[-22:-18] != _END or content[-2:] != b'\0\0':
        raise ValueError('only a zip file without a comment can be sealed')
    body = content[:-2] + struct.pack('<H', _SEAL_SIZE)
    return body + _SEAL + hashlib.sha256(body).hexdigest().encode()


def save_state(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write what ``load_state`` reads, with its checksum."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, seal(buffer.getbuffer()))


def check_seal(path: str | Path) -> str:
    """What is wrong with a sealed file or, without a seal, a zip file; '' if nothing is."""
    with open(path, 'rb') as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - _SEAL_SIZE, 0))
        tail = stream.read()
        stream.seek(0)
        if tail.startswith(_SEAL):
            return _check_digest(stream, size - _SEAL_SIZE, tail[len(_SEAL) :].decode('latin-1'))
        if stream.read(4) != b'PK\x03\x04':
            return ''  # the old format of torch has nothing to check
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
            sealed = bool(archive.comment)  # torch itself writes none
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        return str(error)
    return f'the checksum of {bad} is wrong' if bad else 'its checksum is damaged' * sealed


def _check_digest(stream: Any, size: int, expected: str) -> str:
    digest = hashlib.sha256()
    while size > 0:
        block = stream.read(min(size, 1 << 20))
        digest.update(block)
        size -= len(block) or size
    return '' if digest.hexdigest() == expected else 'the checksum is wrong, the file is damaged'


def load_state(
    path: str | Path, map_location: Any = 'cpu', what: str = 'checkpoint'
) -> Mapping[str, Any]:
    """The content of a file of ``torch.save``: tensors and plain values only, checksum verified.

    Args:
        path: The file. One that bmtas wrote carries a checksum of the whole; of other zip files
            those of the parts are checked.
        map_location: As in ``torch.load``.
        what: What it should be, for messages.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Damaged, of another kind, no mapping, or with objects that could run code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{what} {path} does not exist')
    try:
        reason = check_seal(path)
        content = None if reason else torch.load(path, map_location, weights_only=True)
    except pickle.UnpicklingError:
        # what torch says suggests to load it without this safeguard
        reason = 'not a checkpoint, damaged, or with more in it than tensors and plain values'
    except Exception as error:  # the unpickler of a damaged file raises many kinds
        if isinstance(error, MemoryError) or 'out of memory' in str(error):
            raise
        reason = str(error).strip().split('\n')[0][:200] or type(error).__name__
    if reason:
        raise ValueError(f'{what} {path} cannot be loaded: {reason}')
    if not isinstance(content, Mapping):
        raise ValueError(f'{what} {path} holds no weights but a {type(content).__name__}')
    return content
