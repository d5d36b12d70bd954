"""Ending a run on request: at the next update, with a checkpoint."""

from __future__ import annotations

import atexit
import multiprocessing.util  # registers what joins the children at exit, which must come later
import signal
import threading
from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from torch.utils.data import DataLoader

SIGNALS = tuple(
    getattr(signal, name)
    for name in ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1')
    if hasattr(signal, name)
)
"""Ctrl-C; what schedulers send before they end a job; what a terminal that is closed sends; what
Slurm sends by ``--signal=USR1@60``."""

AGREE = 10
"""Several processes agree on stopping every so many updates."""


class StopRequest:
    """Notes signals inside a ``with`` block; the second one acts at once, as without the block.

    Signals reach the main thread only; in another one nothing is noted.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if not _nohup(number)]
            self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, signum: int, frame: Any) -> None:
        self.signum = signum
        self.__exit__()

    def at(self, update: int) -> int:
        """Number of the signal that ends the run after this many updates, the same on all ranks."""
        if get_world_size() == 1:
            return self.signum
        if update % AGREE:
            return 0
        found = torch.tensor(self.signum)
        all_reduce(found, 'max')
        return int(found)


def _nohup(number: int) -> bool:
    """Whether this is the signal that ``nohup`` asks to ignore."""
    return number == getattr(signal, 'SIGHUP', 0) and signal.getsignal(number) is signal.SIG_IGN


class DeafWorker:
    """First thing that a data loader's worker calls: signals are the main process's business.

    Args:
        inner: The loader's own ``worker_init_fn``, if any.
    """

    def __init__(self, inner: Callable[[int], None] | None = None) -> None:
        self.inner = inner
        atexit.unregister(kill_workers)
        atexit.register(kill_workers)

    def __call__(self, worker_id: int) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if self.inner is not None:
            self.inner(worker_id)


def end_workers(loader: DataLoader) -> None:
    """End the workers that a loader keeps for its next pass; they are started again by that one."""
    loader._iterator = None


def kill_workers() -> None:
    """Kill the workers that are left at exit.

    Python asks daemonic children to end and waits for them, and deaf ones would never do so.
    """
    children = [child for child in multiprocessing.active_children() if child.daemon]
    if children:
        # torch takes the end of a worker for a failure
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in children:
        child.kill()
