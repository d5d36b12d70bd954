"""Fetch archives of published data sets, resumably, and unpack them safely."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path, PurePosixPath

CHUNK = 1 << 20
GZIP = b'\x1f\x8b'
Progress = Callable[[int, int | None], None]


def _resume_headers(part: Path, info: Path, url: str) -> tuple[int, dict[str, str]]:
    """Bytes that are there, and the request for the rest of the very same file."""
    if not part.is_file() or not info.is_file():
        return 0, {}
    try:
        known = json.loads(info.read_text())
    except ValueError:  # a kill left half of it
        return 0, {}
    size = part.stat().st_size
    if not size or known.get('url') != url or not known.get('validator'):
        return 0, {}
    # If-Range: a server whose file has changed sends all of it instead of the missing end
    return size, {'Range': f'bytes={size}-', 'If-Range': known['validator']}


def _transfer(url: str, part: Path, info: Path, progress: Progress, timeout: float) -> None:
    """One attempt; appends to ``part`` what the server sends.

    Raises:
        OSError, HTTPException: The connection failed or ended early.
    """
    start, headers = _resume_headers(part, info, url)
    request = urllib.request.Request(url, headers={'User-Agent': 'bmtas', **headers})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        if response.status != 206:
            start = 0
        elif not response.headers.get('Content-Range', '').startswith(f'bytes {start}-'):
            part.unlink()
            raise ConnectionError('the server sent another part than the one asked for')
        validator = response.headers.get('ETag') or response.headers.get('Last-Modified')
        if validator and validator.startswith('W/'):
            validator = response.headers.get('Last-Modified')
        if not start:  # what is there belongs to another file, and must not be taken for this one's
            part.unlink(missing_ok=True)
        info.write_text(json.dumps(dict(url=url, validator=validator)))
        length = response.headers.get('Content-Length')
        total = None if length is None else start + int(length)
        free = shutil.disk_usage(part.parent).free
        if total is not None and total - start > free:
            raise ValueError(
                f'{part.parent}: {(total - start) >> 20} MiB are needed, {free >> 20} MiB are free'
            )
        done = start
        with part.open('ab') as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
        if total is not None and done < total:
            raise ConnectionError(f'the connection ended after {done} of {total} bytes')


def fetch(
    url: str,
    path: Path,
    progress: Progress = lambda done, total: None,
    attempts: int = 5,
    timeout: float = 30.0,
) -> Path:
    """Download ``url`` to ``path``; an interrupted download goes on where it stopped.

    What has arrived stands in ``<path>.part`` until it is complete.

    Args:
        url: An http or https address.
        path: File to write.
        progress: Called with (bytes done, bytes in all or None).
        attempts: Attempts in a row without a byte of progress before giving up.
        timeout: Seconds without an answer.

    Raises:
        ConnectionError: No answer, or one that is not a gzip archive; the message says why.
        ValueError: Not enough space, or not a web address.
    """
    if not url.startswith(('http://', 'https://')):
        raise ValueError(f'{url}: only http and https addresses are fetched')
    part, info = path.with_name(path.name + '.part'), path.with_name(path.name + '.part.json')
    if path.is_file():  # complete: only then does it get this name
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    failed = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _transfer(url, part, info, progress, timeout)
            break
        except urllib.error.HTTPError as error:
            if error.code == 416:
                if error.headers.get('Content-Range') == f'bytes */{before}':
                    break  # nothing was left to send
                part.unlink(missing_ok=True)
            elif error.code < 500:
                raise ConnectionError(f'{url}: {error.code} {error.reason}') from None
            reason: object = error
        except (OSError, HTTPException) as error:
            reason = getattr(error, 'reason', error)
        after = part.stat().st_size if part.is_file() else 0
        failed = 0 if after > before else failed + 1
        if failed >= attempts:
            raise ConnectionError(f'{url}: {reason}')
        time.sleep(min(failed, 5) * 0.2)
    with part.open('rb') as file:
        if file.read(2) != GZIP:
            part.unlink()
            raise ConnectionError(f'{url}: the answer is a page or another file, not an archive')
    info.unlink(missing_ok=True)
    os.replace(part, path)
    return path


def file_sha256(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _refuse_escape(member: tarfile.TarInfo, archive: Path) -> None:
    """Only folders and plain files below the target; no links, devices or climbing paths."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or '..' in path.parts or '\\' in member.name:
        raise ValueError(f'{archive}: refused, {member.name!r} would be written outside the folder')
    if not (member.isfile() or member.isdir()):
        raise ValueError(f'{archive}: refused, {member.name!r} is a link or a device')


def unpack(
    archive: Path, target: Path, progress: Callable[[str], None] = lambda name: None
) -> Path:
    """Unpack a tar, compressed or not, so that its single top folder becomes ``target``.

    Files are written to ``<target>.unpacking`` and moved when all of them are there and the
    archive's own checksum holds.

    Args:
        archive: The file.
        target: Folder to make; must not exist.
        progress: Called with the name of each member.

    Raises:
        ValueError: The archive is damaged, holds a path that leaves the folder, a link or a
            device, or the target exists.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(f'{target}: exists already; remove it or check it with bmtas check')
    scratch = target.with_name(target.name + '.unpacking')
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        with tarfile.open(archive, 'r:*') as tar:
            for member in tar:
                _refuse_escape(member, archive)
                tar.extract(member, scratch, filter='data')
                progress(member.name)
            while tar.fileobj.read(CHUNK):  # to the end, where the checksum of gzip stands
                pass
        entries = [entry for entry in scratch.iterdir() if not entry.name.startswith('.')]
        top = entries[0] if len(entries) == 1 and entries[0].is_dir() else scratch
        if target.is_dir():
            target.rmdir()
        os.replace(top, target)
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(
            f'{archive}: cannot be unpacked ({error}); delete it and fetch it again'
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def count_files(root: Path) -> dict[str, int]:
    """Suffix -> number of files below ``root``."""
    names = (name for _, _, files in os.walk(root) for name in files)
    return Counter(os.path.splitext(name)[1].lower() for name in names)
