"""The lock of a folder."""

from __future__ import annotations

import fcntl
import os
import socket
import weakref
from pathlib import Path

from bmtas.files import cannot_write, make_folder

LOCK = '.lock'


class FolderLock:
    """Keeps a folder for one process; the system gives it back when the process ends or dies.

    Raises:
        ValueError: Another process has it; the message says which.
    """

    def __init__(self, folder: str | Path) -> None:
        path = make_folder(folder) / LOCK
        try:
            self._stream = open(path, 'a+')  # noqa: SIM115  (open until it is released)
        except OSError as error:
            cannot_write(path, error)
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._stream.seek(0)
            owner = self._stream.read().strip() or 'another process'
            self._stream.close()
            raise ValueError(
                f'{folder}: {owner} is running in this folder; wait for it or choose another '
                '--work-dir'
            ) from None
        except OSError:
            pass  # a file system without locks
        _HELD.add(self)
        try:
            self._stream.truncate(0)
            self._stream.write(f'process {os.getpid()} on {socket.gethostname()}\n')
            self._stream.flush()
        except OSError as error:
            cannot_write(path, error)

    def release(self) -> None:
        """Give the folder back."""
        _HELD.discard(self)
        self._stream.close()


_HELD: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _let_go() -> None:
    # a data loader's worker outlives a killed process by seconds and would keep the lock
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_let_go)
